package dev.twinsync.console;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import dev.twinsync.record.Json;
import dev.twinsync.record.Masking;
import dev.twinsync.record.Schemas;
import java.math.BigDecimal;
import java.sql.Timestamp;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.springframework.context.MessageSource;
import org.springframework.context.NoSuchMessageException;
import org.springframework.context.i18n.LocaleContextHolder;
import org.springframework.http.HttpStatus;
import org.springframework.stereotype.Component;
import org.springframework.web.server.ResponseStatusException;
import org.springframework.web.util.UriComponentsBuilder;

/** How values are written on a page; templates call it as {@code @show}. */
@Component("show")
class Show {

    private static final DateTimeFormatter UTC =
            DateTimeFormatter.ofPattern("uuuu-MM-dd HH:mm:ss").withZone(ZoneOffset.UTC);

    private final MessageSource messages;
    private final Sentences sentences;
    private final Schemas schemas;

    Show(MessageSource messages, Sentences sentences, Schemas schemas) {
        this.messages = messages;
        this.sentences = sentences;
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

    /** A number with the digits that it has, or a dash for none. */
    public String number(Number number) {
        return number == null
                ? "–"
                : new BigDecimal(number.toString()).stripTrailingZeros().toPlainString();
    }

    /** A share as percent. */
    public String percent(BigDecimal share) {
        return share == null ? "–" : number(share.movePointRight(2)) + " %";
    }

    /** The message of a code in the reader's language, or the last word of the code where there is none. */
    public String word(String code) {
        try {
            return messages.getMessage(code, null, LocaleContextHolder.getLocale());
        } catch (NoSuchMessageException e) {
            return code.substring(code.indexOf('.') + 1);
        }
    }

    /** Whether a code has a message. */
    boolean has(String code) {
        return messages.getMessage(code, null, null, LocaleContextHolder.getLocale()) != null;
    }

    /** A value as it is written: text as it is, a list a line an item, members by name, so that equal ones look equal. */
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
                                    .sorted(Map.Entry.comparingByKey())
                                    .map(member -> member.getKey() + " "
                                            + member.getValue().asText())
                                    .collect(Collectors.joining(" · "))
                            : item.asText()));
            return lines;
        }
        if (value.isObject()) {
            return value.properties().stream()
                    .sorted(Map.Entry.comparingByKey())
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

    /** A message with its arguments, or the code where there is none. */
    public String text(String code, Object... arguments) {
        return messages.getMessage(code, arguments, code, LocaleContextHolder.getLocale());
    }

    /** A person's reason for an act that needs one. */
    String needed(String reason) {
        if (reason == null || reason.isBlank()) {
            throw new ResponseStatusException(HttpStatus.BAD_REQUEST, text("reason.needed"));
        }
        return reason;
    }

    /** Where a list goes on: the id of its last row, or null where the page is not full. */
    static <T> Object next(List<T> rows, int page, Function<T, ?> id) {
        return rows.size() < page ? null : id.apply(rows.get(rows.size() - 1));
    }

    /** A sentence of ours, as a call would answer it, in the reader's language; what a system said is shown as it is. */
    public String told(String sentence) {
        return sentence == null ? null : sentences.in(LocaleContextHolder.getLocale(), safe(sentence), this::word);
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

    /** An object as templates read it. */
    static Map<?, ?> map(JsonNode node) {
        return Json.MAPPER.convertValue(visible(node), Map.class);
    }

    static List<Map<?, ?>> maps(List<ObjectNode> nodes) {
        List<Map<?, ?>> maps = new ArrayList<>();
        nodes.forEach(node -> maps.add(map(node)));
        return maps;
    }

    /** Text from outside without phone numbers, credentials and control characters. */
    public static String safe(String text) {
        return text == null ? null : Masking.inText(Masking.visible(text));
    }

    /** The page of a record, or null where the kind is no entity. */
    public String record(String entity, String id) {
        return schemas.has(entity) ? FrontDoor.record(schemas.of(entity).plural(), id) : null;
    }

    /** Where what an act was done to is shown, or null where it has no page. */
    public String target(String kind, String target) {
        if (kind == null || target == null) {
            return null;
        }
        return switch (kind) {
            case "letter" -> "/console/letters/" + target;
            case "operation" -> "/console/letters/retries/" + target;
            case "verification" -> "/console/verification/" + target;
            case "group" ->
                UriComponentsBuilder.fromPath("/console/letters/list")
                        .queryParam("group", "{group}")
                        .buildAndExpand(target)
                        .encode()
                        .toUriString();
            case "flow" -> flow(target);
            case "system" -> "/console/flows#capture";
            case "conflict" -> "/console/conflicts?state=all&after=" + (Long.parseLong(target) + 1);
            default -> record(kind, target);
        };
    }

    private String rest(String code, long n) {
        return n == 0 ? "" : " " + text(code, n);
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
