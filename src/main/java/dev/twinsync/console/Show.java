package dev.twinsync.console;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import dev.twinsync.record.Json;
import dev.twinsync.record.Masking;
import dev.twinsync.record.Schemas;
import java.sql.Timestamp;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.springframework.context.MessageSource;
import org.springframework.context.NoSuchMessageException;
import org.springframework.context.i18n.LocaleContextHolder;
import org.springframework.stereotype.Component;

/** How values are written on a page; templates call it as {@code @show}. */
@Component("show")
class Show {

    private static final DateTimeFormatter UTC =
            DateTimeFormatter.ofPattern("uuuu-MM-dd HH:mm:ss").withZone(ZoneOffset.UTC);

    /** Sentences of ours, and the messages that say the same in the reader's language. */
    private static final Map<Pattern, String> TOLD = new LinkedHashMap<>();

    static {
        Map.of(
                        "paused by (.+)", "told.paused.by",
                        "(\\d+) of (\\d+) failed again", "told.paused.failed",
                        "the canary failed again: (\\d+) of (\\d+)", "told.paused.canary",
                        "the letter is (\\w+); only an? (?:open|discarded) one can be \\w+", "told.letter.is",
                        "a newer letter of this record at this system is open", "told.letter.newer",
                        "the retry is (\\w+)", "told.retry.is",
                        "the body can't be used", "told.body",
                        "nothing is held back", "told.held.nothing",
                        "(\\S+) can't be used", "told.field")
                .forEach((sentence, code) -> TOLD.put(Pattern.compile(sentence), code));
    }

    private final MessageSource messages;
    private final Schemas schemas;

    Show(MessageSource messages, Schemas schemas) {
        this.messages = messages;
        this.schemas = schemas;
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

    /** A value as it is written: text as it is, a list a line an item. */
    public static List<String> lines(JsonNode of) {
        JsonNode value = visible(of);
        if (value == null || value.isNull() || value.isMissingNode()) {
            return List.of();
        }
        if (value.isArray()) {
            List<String> lines = new ArrayList<>();
            value.forEach(item -> lines.add(
                    item.isObject()
                            ? item.properties().stream()
                                    .map(member -> member.getValue().asText())
                                    .collect(Collectors.joining(" · "))
                            : item.asText()));
            return lines;
        }
        if (value.isObject()) {
            return value.properties().stream()
                    .map(member -> member.getKey() + ": " + member.getValue().asText())
                    .toList();
        }
        return List.of(value.isNumber() ? value.decimalValue().toPlainString() : value.asText());
    }

    /** The same in one line, or a dash for nothing. */
    public String value(JsonNode value) {
        List<String> lines = lines(value);
        return lines.isEmpty() ? "∅" : String.join("; ", lines);
    }

    /** Where a flow is told of. */
    public String flow(String id) {
        return "/console/flows#" + id;
    }

    /** A note of the history in the reader's language where it is one of ours; what a system said is shown as it is. */
    public String note(String note) {
        return messages.getMessage("note." + note, null, told(note), LocaleContextHolder.getLocale());
    }

    /** A message with numbers in it. */
    String text(String code, long n) {
        return messages.getMessage(code, new Object[] {String.valueOf(n)}, LocaleContextHolder.getLocale());
    }

    /** A sentence of ours, as a call would answer it, in the reader's language; any other as it is. */
    public String told(String sentence) {
        if (sentence == null) {
            return null;
        }
        for (Map.Entry<Pattern, String> known : TOLD.entrySet()) {
            Matcher matcher = known.getKey().matcher(sentence);
            if (matcher.matches()) {
                Object[] parts = new Object[matcher.groupCount()];
                for (int i = 0; i < parts.length; i++) {
                    String part = matcher.group(i + 1);
                    parts[i] = switch (known.getValue()) {
                        case "told.letter.is" -> word("letter." + part);
                        case "told.retry.is" -> word("operation." + part);
                        default -> part;
                    };
                }
                return messages.getMessage(known.getValue(), parts, LocaleContextHolder.getLocale());
            }
        }
        return safe(sentence);
    }

    /** What the entries of a timeline moved. */
    public List<ObjectNode> moves(JsonNode fields) {
        return RecordPage.moves(fields);
    }

    /** A tree whose texts can be shown: see {@link Masking#visible}. */
    static JsonNode visible(JsonNode node) {
        if (node instanceof ObjectNode object) {
            ObjectNode seen = Json.MAPPER.createObjectNode();
            object.properties()
                    .forEach(member -> seen.set(Masking.visible(member.getKey()), visible(member.getValue())));
            return seen;
        }
        if (node instanceof ArrayNode array) {
            ArrayNode seen = Json.MAPPER.createArrayNode();
            array.forEach(item -> seen.add(visible(item)));
            return seen;
        }
        return node != null && node.isTextual() ? TextNode.valueOf(Masking.visible(node.asText())) : node;
    }

    /** Text from outside without phone numbers, credentials and control characters. */
    public static String safe(String text) {
        return text == null ? null : Masking.inText(Masking.visible(text));
    }

    /** The page of a record, or null where the kind is no entity. */
    public String record(String entity, String id) {
        return schemas.has(entity) ? FrontDoor.record(schemas.of(entity).plural(), id) : null;
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
