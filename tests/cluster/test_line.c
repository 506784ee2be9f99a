/* Any bytes become one line of valid UTF-8. */
#include "tests/check.h"

#include "cluster/line.h"

static void cases(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } list[] = {
        {"", ""},
        {"plain ~ text", "plain ~ text"},
        {"\t\n\r\x01\x1f\x7f", "      "},
        {"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\x80", "?"},
        {"\xbf\xff\xfe", "???"},
        {"\xc3", "?"}, /* cut off */
        {"\xe2\x82", "??"},
        {"\xf0\x9f\x98", "???"},
        {"\xc3(", "?("},
        {"\xc0\xaf", "??"}, /* overlong */
        {"\xc1\xbf", "??"},
        {"\xe0\x80\xaf", "???"},
        {"\xf0\x80\x80\xaf", "????"},
        {"\xed\xa0\x80", "???"}, /* a surrogate */
        {"\xed\x9f\xbf", "\xed\x9f\xbf"},
        {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
        {"\xf4\x90\x80\x80", "????"}, /* above U+10FFFF */
        {"\xf5\x80\x80\x80", "????"},
        {"\xe0\xa0\x80", "\xe0\xa0\x80"},
        {"\xf0\x90\x80\x80", "\xf0\x90\x80\x80"},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        char text[32];
        snprintf(text, sizeof text, "%s", list[i].in);
        ns_line_clean(text);
        assert_string_equal(text, list[i].out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
