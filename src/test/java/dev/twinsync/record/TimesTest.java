package dev.twinsync.record;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Instant;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeFormatterBuilder;
import java.time.format.DateTimeParseException;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is read and written a digit at a time is what {@code java.time} reads and writes. */
class TimesTest {

    private static final DateTimeFormatter MICROS =
            DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss.SSSSSS'Z'").withZone(ZoneOffset.UTC);

    @Property
    void writtenAsTheFormatterDoes(
            @ForAll @LongRange(min = -62_200_000_000L, max = 253_500_000_000L) long seconds,
            @ForAll @IntRange(max = 999_999_999) int nanos) {
        Instant moment = Instant.ofEpochSecond(seconds, nanos);
        assertThat(Times.text(moment)).isEqualTo(MICROS.format(moment));
    }

    @Property
    void readAsTheParserDoes(
            @ForAll @LongRange(min = -62_100_000_000L, max = 253_300_000_000L) long seconds,
            @ForAll @IntRange(max = 999_999_999) int nanos,
            @ForAll @IntRange(max = 9) int digits,
            @ForAll @IntRange(min = -17 * 60, max = 17 * 60) int offset) {
        OffsetDateTime moment =
                Instant.ofEpochSecond(seconds, nanos).atOffset(ZoneOffset.ofHoursMinutes(offset / 60, offset % 60));
        String fraction = digits == 0 ? "" : "." + "S".repeat(digits);
        String text = new DateTimeFormatterBuilder()
                .appendPattern("uuuu-MM-dd'T'HH:mm:ss" + fraction)
                .appendOffsetId()
                .toFormatter()
                .format(moment);
        assertThat(Times.plain(text)).isTrue();
        assertThat(Times.read(text)).isEqualTo(OffsetDateTime.parse(text).toInstant());
        assertThat(Times.read(Times.text(moment.toInstant())))
                .isEqualTo(Instant.ofEpochSecond(seconds, nanos / 1000 * 1000));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "2026-02-30T00:00:00Z",
                "2026-01-31T25:00:00Z",
                "2026-01-31T00:00:60Z",
                "2026-01-31T00:00:00.1234567890Z",
                "2026-01-31T00:00:00",
                "2026-01-31T00:00:00+19:00",
                "2026-01-31T00:00:00+08:60",
                "2026-01-31 00:00:00Z",
                "2026-01-31T00:00:00Zz",
                ""
            })
    void refusedAsTheParserDoes(String text) {
        assertThatThrownBy(() -> OffsetDateTime.parse(text)).isInstanceOf(DateTimeParseException.class);
        assertThatThrownBy(() -> Times.read(text)).isInstanceOf(DateTimeParseException.class);
    }
}
