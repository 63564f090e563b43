package dev.twinsync.record;

import java.nio.charset.StandardCharsets;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;

/**
 * Times as text. The one form in which Twinsync writes them is UTC with exactly microseconds,
 * {@code 2026-01-31T00:00:00.000000Z}; nearly all that it reads has it already. It is read and written a digit at a time,
 * since {@link DateTimeFormatter} takes ten times as long.
 */
public final class Times {

    private static final DateTimeFormatter MICROS =
            DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss.SSSSSS'Z'").withZone(ZoneOffset.UTC);

    private static final String SHAPE = "dddd-dd-ddTdd:dd:dd.ddddddZ";

    private Times() {}

    public static String text(Instant instant) {
        LocalDateTime at = LocalDateTime.ofEpochSecond(instant.getEpochSecond(), instant.getNano(), ZoneOffset.UTC);
        if (at.getYear() < 0 || at.getYear() > 9999) {
            return MICROS.format(instant);
        }
        byte[] text = SHAPE.getBytes(StandardCharsets.ISO_8859_1);
        digits(text, 0, 4, at.getYear());
        digits(text, 5, 7, at.getMonthValue());
        digits(text, 8, 10, at.getDayOfMonth());
        digits(text, 11, 13, at.getHour());
        digits(text, 14, 16, at.getMinute());
        digits(text, 17, 19, at.getSecond());
        digits(text, 20, 26, at.getNano() / 1000);
        return new String(text, StandardCharsets.ISO_8859_1);
    }

    private static void digits(byte[] text, int from, int to, int value) {
        int left = value;
        for (int i = to - 1; i >= from; i--) {
            text[i] = (byte) ('0' + left % 10);
            left /= 10;
        }
    }

    /** Whether a text has the form in which times are written; not whether there is such a day. */
    static boolean shaped(String text) {
        return text.length() == SHAPE.length() && fits(text, 0, SHAPE);
    }

    /**
     * Reads a time with its offset, as in RFC 3339.
     *
     * @throws DateTimeParseException where it is none
     */
    public static Instant read(String text) {
        int offset = offset(text);
        if (offset < 0) {
            return OffsetDateTime.parse(text).toInstant();
        }
        int nanos = 0;
        for (int i = 20, unit = 100_000_000; i < offset; i++, unit /= 10) {
            nanos += (text.charAt(i) - '0') * unit;
        }
        try {
            LocalDateTime at = LocalDateTime.of(
                    digits(text, 0, 4),
                    digits(text, 5, 7),
                    digits(text, 8, 10),
                    digits(text, 11, 13),
                    digits(text, 14, 16),
                    digits(text, 17, 19),
                    nanos);
            if (text.charAt(offset) == 'Z') {
                return at.toInstant(ZoneOffset.UTC);
            }
            int sign = text.charAt(offset) == '-' ? -1 : 1;
            int hours = sign * digits(text, offset + 1, offset + 3);
            int minutes = sign * digits(text, offset + 4, offset + 6);
            return at.toInstant(ZoneOffset.ofHoursMinutes(hours, minutes));
        } catch (DateTimeException e) {
            throw new DateTimeParseException(e.getMessage(), text, 0, e);
        }
    }

    /**
     * Whether a text is a date, {@code T}, a time to the second, maybe a fraction, and an offset: the form of nearly all
     * times that are read.
     */
    static boolean plain(String text) {
        return offset(text) >= 0;
    }

    /** Where the offset of a {@link #plain} time begins, or -1. */
    private static int offset(String text) {
        if (!fits(text, 0, "dddd-dd-ddTdd:dd:dd")) {
            return -1;
        }
        int at = 19;
        if (at < text.length() && text.charAt(at) == '.') {
            at++;
            while (at < text.length() && text.charAt(at) >= '0' && text.charAt(at) <= '9') {
                at++;
            }
            if (at == 20 || at > 29) {
                return -1;
            }
        }
        String offset = text.length() - at == 1 ? "Z" : "sdd:dd";
        return text.length() == at + offset.length() && fits(text, at, offset) ? at : -1;
    }

    /** @param shape d: a digit, s: a sign, else the very character */
    private static boolean fits(String text, int from, String shape) {
        if (text.length() < from + shape.length()) {
            return false;
        }
        for (int i = 0; i < shape.length(); i++) {
            char wanted = shape.charAt(i);
            char c = text.charAt(from + i);
            boolean fits =
                    switch (wanted) {
                        case 'd' -> c >= '0' && c <= '9';
                        case 's' -> c == '+' || c == '-';
                        default -> c == wanted;
                    };
            if (!fits) {
                return false;
            }
        }
        return true;
    }

    private static int digits(String text, int from, int to) {
        int value = 0;
        for (int i = from; i < to; i++) {
            value = value * 10 + text.charAt(i) - '0';
        }
        return value;
    }
}
