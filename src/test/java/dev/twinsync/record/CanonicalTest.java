package dev.twinsync.record;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CanonicalTest {

    /** Numbers as ECMAScript writes them, members by name, and only those characters escaped that must be. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '~',
            value = {
                "199.90 | 199.9",
                "250.00 | 250",
                "1E30 | 1e+30",
                "4.50 | 4.5",
                "2e-3 | 0.002",
                "0.000000000000000000000000001 | 1e-27",
                "333333333.33333329 | 333333333.3333333",
                "-0.0 | 0",
                "123456789012345678901 | 123456789012345680000",
                "{\"b\":[],\"a\":{},\"1\":true} | {\"1\":true,\"a\":{},\"b\":[]}",
                "\"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\" | \"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\""
            })
    void writesAsTheStandardSays(String given, String canonical) {
        assertThat(Canonical.text(Json.read(given))).isEqualTo(canonical);
    }
}
