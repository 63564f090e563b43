package dev.twinsync.console;

import java.sql.Timestamp;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import org.springframework.context.MessageSource;
import org.springframework.context.NoSuchMessageException;
import org.springframework.context.i18n.LocaleContextHolder;
import org.springframework.stereotype.Component;

/** How values are written on a page; templates call it as {@code @show}. */
@Component("show")
public class Show {

    private static final DateTimeFormatter UTC =
            DateTimeFormatter.ofPattern("uuuu-MM-dd HH:mm:ss").withZone(ZoneOffset.UTC);

    private final MessageSource messages;

    Show(MessageSource messages) {
        this.messages = messages;
    }

    /** A moment as {@code 2026-01-02 03:04:05}, UTC; the page's script turns it into the reader's own zone. */
    public String time(Object at) {
        Instant instant = instant(at);
        return instant == null ? "–" : UTC.format(instant);
    }

    /** The moment for machines: what a {@code <time>} says. */
    public String iso(Object at) {
        Instant instant = instant(at);
        return instant == null ? null : instant.toString();
    }

    /** How long ago, in one unit or two. */
    public String ago(Object at) {
        Instant instant = instant(at);
        return instant == null ? "–" : text("time.ago", lasted(Duration.between(instant, Instant.now())));
    }

    /** A duration in one unit or two: 850 ms, 12 s, 3 min, 2 h 5 min, 4 d 3 h. */
    public String lasted(Duration duration) {
        if (duration == null) {
            return "–";
        }
        long ms = Math.max(0, duration.toMillis());
        long seconds = ms / 1000;
        if (ms < 1000) {
            return text("time.ms", ms);
        }
        if (seconds < 60) {
            return text("time.s", seconds);
        }
        if (seconds < 3600) {
            return text("time.min", seconds / 60);
        }
        if (seconds < 86400) {
            return text("time.h", seconds / 3600) + rest("time.min", seconds % 3600 / 60);
        }
        return text("time.d", seconds / 86400) + rest("time.h", seconds % 86400 / 3600);
    }

    /** Seconds as a duration. */
    public String seconds(Number seconds) {
        return seconds == null ? "–" : lasted(Duration.ofMillis(Math.round(seconds.doubleValue() * 1000)));
    }

    /** The message of a code in the reader's language, or the last word of the code where there is none. */
    public String word(String code) {
        try {
            return messages.getMessage(code, null, LocaleContextHolder.getLocale());
        } catch (NoSuchMessageException e) {
            return code.substring(code.indexOf('.') + 1);
        }
    }

    private String rest(String code, long n) {
        return n == 0 ? "" : " " + text(code, n);
    }

    private String text(String code, Object argument) {
        return messages.getMessage(
                code,
                new Object[] {argument instanceof Long n ? String.valueOf(n) : argument},
                LocaleContextHolder.getLocale());
    }

    private static Instant instant(Object at) {
        if (at == null) {
            return null;
        }
        if (at instanceof Timestamp timestamp) {
            return timestamp.toInstant();
        }
        return at instanceof Instant instant ? instant : Instant.parse(at.toString());
    }
}
