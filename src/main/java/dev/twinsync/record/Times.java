package dev.twinsync.record;

import java.time.DateTimeException;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;

/**
 * Times as text. The one form in which Twinsync writes them is UTC with exactly microseconds,
 * {@code 2026-01-31T00:00:00.000000Z}; nearly all that it reads has it already, and is read a digit at a time, since
 * {@link DateTimeFormatter} takes ten times as long.
 */
public final class Times {

    private static final DateTimeFormatter MICROS =
            DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss.SSSSSS'Z'").withZone(ZoneOffset.UTC);

    private static final String SHAPE = "dddd-dd-ddTdd:dd:dd.ddddddZ";

    private Times() {}

    public static String text(Instant instant) {
        return MICROS.format(instant);
    }

    /** Whether a text has the form in which times are written; not whether there is such a day. */
    static boolean shaped(String text) {
        if (text.length() != SHAPE.length()) {
            return false;
        }
        for (int i = 0; i < SHAPE.length(); i++) {
            char wanted = SHAPE.charAt(i);
            char c = text.charAt(i);
            if (wanted == 'd' ? c < '0' || c > '9' : c != wanted) {
                return false;
            }
        }
        return true;
    }

    /**
     * Reads a time with its offset, as in RFC 3339.
     *
     * @throws DateTimeParseException where it is none
     */
    public static Instant read(String text) {
        if (!shaped(text)) {
            return OffsetDateTime.parse(text).toInstant();
        }
        try {
            return LocalDateTime.of(
                            digits(text, 0, 4),
                            digits(text, 5, 7),
                            digits(text, 8, 10),
                            digits(text, 11, 13),
                            digits(text, 14, 16),
                            digits(text, 17, 19),
                            digits(text, 20, 26) * 1000)
                    .toInstant(ZoneOffset.UTC);
        } catch (DateTimeException e) {
            throw new DateTimeParseException(e.getMessage(), text, 0, e);
        }
    }

    private static int digits(String text, int from, int to) {
        int value = 0;
        for (int i = from; i < to; i++) {
            value = value * 10 + text.charAt(i) - '0';
        }
        return value;
    }
}
