/* Formats: texts that are valid and such that are nearly. */
#include "text/gram/rx.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "walk.h"

/* clang-format off */
/* Texts are parted by spaces; "_" is the empty text. */
static const struct {
    const char *name, *yes, *no;
} cases[] = {
    {"date", "2024-02-29 2000-02-29 1963-06-19 2020-01-31 2020-04-30 0400-02-29 2023-02-28",
     "_ 2023-02-29 1900-02-29 2100-02-29 2020-04-31 2020-13-01 2020-00-10 2020-01-32 2020-01-00 98-01-01 2020-1-1 2013-350 1963-06-1\xE0\xA7\xAA 20230328 2023-W13-2 2024-02-30"},
    {"time", "08:30:06Z 08:30:06.283185Z 23:59:60Z 08:30:06+00:20 08:30:06-08:00 01:02:03z 23:59:60.5+00:00",
     "_ 08:30:06 24:00:00Z 00:60:00Z 00:00:61Z 22:59:60Z 08:30:06-8:000 8:3:6Z 01:02:03Z+00:30 08:30:06PST 01:01:01,1111Z 01:02:03+24:00 01:02:03+00:60 12:00:0\xE0\xA7\xAAZ 08:30:06#00:20 ab:cd:ef"},
    {"date-time", "1963-06-19T08:30:06.283185Z 1963-06-19t08:30:06z 1990-12-31T15:59:50.123-08:00 2024-02-29T00:00:00+23:59 1998-12-31T23:59:60Z",
     "_ 1998-12-31T22:59:60Z 1990-02-31T15:59:59.123-08:00 1990-12-31T15:59:59-24:00 1963-06-19T08:30:06.28123+01:00Z 06/19/1963 2013-350T01:01:01 1963-6-19T08:30:06Z 1963-06-19T08:30:6Z 1963-06-1\xE0\xA7\xAAT00:00:00Z 2023-02-29T00:00:00Z 1963-06-19T08:30:06"},
    {"duration", "P4DT12H30M5S P4Y PT0S P0D P1M PT1M PT36H P1DT12H P2W P1Y2M3D PT1H2M3S",
     "_ P PT PT1D P1D2H P2D1Y P2W1D P1YT 4DT P1 P2S PT1S2H P1Y2W PD 1D P0.5Y P\xE0\xA7\xA8Y"},
    {"email", "joe.bloggs@example.com te~st@example.com ~test@example.com \"joe@bloggs\"@example.com \"joe..bloggs\"@example.com joe@[127.0.0.1] joe@[IPv6:::1] te.s.t@example.com a+b@x",
     "_ 2962 .test@example.com test.@example.com te..st@example.com joe@=example.com joe@[127.0.0.300] joe@ @x a@b@c joe@-x joe@[IPv6:x]"},
    {"hostname", "www.example.com localhost a 1host a-b.c-d xyz0.9", "_ -a a- .a a. a..b a_b a.-b \xC3\xA9.com not_valid xn--X ab--cd.de a.xn--b"},
    {"ipv4", "192.168.0.1 0.0.0.0 255.255.255.255 127.0.0.1", "_ 127.0.0.0.1 256.256.256.256 127.0 0x7f.0.0.1 2130706433 087.10.0.1 1.2.3.4/24 1.2.3.4\n 1.2.3.\xE0\xA7\xAA"},
    {"ipv6", "::1 :: ::abcd:1 1::d6 1:2::8 ::42:ff:1 d6:: 1:d6::42 1:2:3:4:5:6:7:8 1::d6:192.168.0.1 1:2::192.168.0.1 ::ffff:192.168.0.1 1:2:3:4:5:6:1.2.3.4 1:2:3:4:5:6:7:: ::2:3:4:5:6:7:8 fe80::a",
     "_ 12345:: 1:1:1:1:1:1:1:1:1:1 ::laptop :2:3:4:5:6:7:8 1:2:3:4:5:6:7: :2:3:4::8 1::d6::42 1::2:192.168.256.1 1::2:192.168.ff.1 1:2:3:4:5:::8 1:2:3:4:5:6:7 1 127.0.0.1 1:2:3:4:1.2.3 fe80::/64 fe80::a%eth1 1:2:3:4:5:6:7:8:: 1000:1000:1000:1000:1000:1000:255.255.255.255:1 ::1::"},
    {"uuid", "2EB8AA08-AA98-11EA-B4AA-73B441D16380 2eb8aa08-aa98-11ea-b4aa-73b441d16380 00000000-0000-0000-0000-000000000000",
     "_ 2eb8aa08-aa98-11ea-b4aa-73b441d1638 2eb8aa08-aa98-11ea-73b441d16380 2eb8aa08aa9811eab4aa73b441d16380 2eb8aa08aa98-11ea-b4aa73b441d16380 g0000000-0000-0000-0000-000000000000 2eb8-aa08-aa98-11ea-b4aa73b44-1d16380"},
    {"uri", "http://foo.bar/?baz=qux#quux http://foo.com/blah_(wikipedia)_blah#cite-1 http://foo.bar/?q=Test%20URL-encoded%20stuff http://xn--nw2a.xn--j6w193g/ http://-.~_!$&'()*+,;=:%40:80%2f::::::@example.com http://223.255.255.254 ftp://ftp.is.co.za/rfc/rfc1808.txt http://www.ietf.org/rfc/rfc2396.txt ldap://[2001:db8::7]/c=GB?objectClass?one mailto:John.Doe@example.com news:comp.infosystems.www.servers.unix tel:+1-816-555-1212 urn:oasis:names:specification:docbook:dtd:xml:4.1.2 a: a:/ http://[v1.x]/ http://h:8080/p;q",
     "_ //foo.bar/?baz=qux#quux /abc \\\\WINDOWS\\fileshare abc :// http://[::1 http://a/<b> bar,baz:foo http://a/{x} http://a/%g0 http://a\xC3\xA9 1a:b http://a#b#c http://example.org/\"x http://[1.2.3.4]/ http://a:x/ http://a/^"},
    {"uri-reference", "http://foo.bar/?baz=qux#quux //foo.bar/?baz=qux#quux /abc abc #fragment ?q _ ./a:b a/b:c", "\\\\WINDOWS\\fileshare #frag\\ment 1:b a\xC3\xA9 %"},
    {"iri", "http://\xC6\x92\xC3\xB8\xC3\xB8.\xC3\x9F\xC3\xA5r/?\xE2\x88\x82\xC3\xA9\xC5\x93=\xCF\x80\xC3\xAE\xC3\xBC#x http://a urn:\xE6\x96\x87", "_ /abc \xC3\xA2\xCF\x80 http://a<b"},
    {"iri-reference", "\xC3\xA2\xCF\x80\xC3\xAE/x #\xC3\xA9 //\xC3\xB8/", "\\x #a\\b"},
    {"uri-template", "_ http://example.com/dictionary/{term:1}/{term} http://example.com/dictionary dictionary/{term:1}/{term} {+path,x*}{?q}{&a.b%20}", "http://example.com/dictionary/{term:1}/{term { {} {a,} {a:0} {a:10000} a}b <x> {a..b} \"x\""},
    {"json-pointer", "_ / /foo/bar~0/baz~1/%a /foo/0 /a~1b //x /~0~01 /\xC3\xA9", "foo /foo/bar~ /~ ~0 a /~2 #/a 0"},
    {"relative-json-pointer", "1 0/foo/bar 2/0/baz/1/zip 0# 120/foo", "_ /foo/bar -1/foo/bar +1/foo 0## 01/a 01# # 1a"},
};
/* clang-format on */

static void check_list(struct rx *r, rx_id id, const char *name, const char *list, int want)
{
    struct err e;

    while (list) {
        size_t n = strcspn(list, " ");
        struct str text = {list, n};
        int got;

        if (str_is(text, "_"))
            text.n = 0;
        got = walk(r, id, text, &e);
        if (got != want)
            fail_msg("%s: \"%.*s\" should%s be valid (%d)", name, (int)n, list,
                     want ? "" : " not", got);
        list = list[n] ? list + n + 1 : NULL;
    }
}

static void test_formats(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct rx *r = NULL;
        struct err e;
        rx_id id;

        assert_int_equal(rx_new(&r, NULL, &e), 0);
        if (rx_format(r, str_of(cases[i].name), &id, &e) < 0)
            fail_msg("%s", e.msg);
        check_list(r, id, cases[i].name, cases[i].yes, 1);
        check_list(r, id, cases[i].name, cases[i].no, 0);
        assert_int_equal(rx_live(r, id, &e), 1);
        rx_free(r);
    }
}

static void test_lengths(void **state)
{
    struct rx *r = NULL;
    char s[400];
    struct err e;
    rx_id host, email;

    (void)state;
    assert_int_equal(rx_new(&r, NULL, &e), 0);
    assert_int_equal(rx_format(r, str_of("hostname"), &host, &e), 0);
    assert_int_equal(rx_format(r, str_of("email"), &email, &e), 0);
    memset(s, 'a', sizeof(s));
    assert_int_equal(walk(r, host, (struct str){s, 63}, &e), 1);
    assert_int_equal(walk(r, host, (struct str){s, 64}, &e), 0);
    for (int i = 50; i < 400; i += 50)
        s[i] = '.';
    assert_int_equal(walk(r, host, (struct str){s, 253}, &e), 1);
    assert_int_equal(walk(r, host, (struct str){s, 254}, &e), 0);
    s[64] = '@';
    assert_int_equal(walk(r, email, (struct str){s, 80}, &e), 1);
    s[64] = 'a';
    s[65] = '@';
    assert_int_equal(walk(r, email, (struct str){s, 80}, &e), 0);
    rx_free(r);
}

static void test_unknown(void **state)
{
    struct rx *r = NULL;
    struct err e;
    rx_id id;

    (void)state;
    assert_int_equal(rx_new(&r, NULL, &e), 0);
    assert_int_equal(rx_format(r, str_of("idn-hostname"), &id, &e), E_UNSUPPORTED);
    assert_non_null(strstr(e.msg, "idn-hostname"));
    assert_int_equal(rx_format(r, str_of(""), &id, &e), E_UNSUPPORTED);
    assert_int_equal(rx_error(r, &e), 0);
    rx_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
