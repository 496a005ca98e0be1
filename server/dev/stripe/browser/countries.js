/** ISO 3166 codes of countries whose cards Stripe takes most. */
const CODES =
  'AD AE AL AM AR AT AU AZ BA BB BE BG BH BO BR BS CA CH CL CO CR CY CZ DE DK DO DZ EC EE EG ES FI FR GB GE GH GI GR GT HK HN HR HU ID IE IL IN IS IT JM JO JP KE KR KW KZ LI LT LU LV MA MC MD ME MK MT MU MX MY NG NI NL NO NZ OM PA PE PH PK PL PT PY QA RO RS SA SE SG SI SK SM SN SV TH TN TR TT TW UA US UY UZ VN ZA'.split(
    ' ',
  );

/**
 * Countries by name in the page's language.
 *
 * @param {string} language
 */
export function countries(language) {
  const names = new Intl.DisplayNames([language], { type: 'region' });
  return CODES.map((code) => ({ code, name: names.of(code) ?? code })).sort((a, b) =>
    a.name.localeCompare(b.name, language),
  );
}
