package dev.twinsync.deadletter;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.record.Json;
import dev.twinsync.record.Masking;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Map;
import java.util.UUID;

/**
 * A message that could not be handled, on its way to the store.
 *
 * @param eventId this failure's own id: stored twice, it is one
 * @param slot what of the record: empty for its delivery, the field that can't be used, or the place of the message
 *     that can't be worked ({@code message@topic/partition/offset})
 * @param version the golden version that was to be delivered, or null
 * @param status HTTP status or null; {@code code} the system's own code, or null
 * @param field the field that was refused or can't be used, or null
 * @param topic its letters go to {@code <topic>-dlt}; the topic of the original, where the headers name no other
 * @param message the original bytes
 * @param request what was sent and refused, or null
 */
public record Letter(
        String eventId,
        String entity,
        String id,
        String system,
        String slot,
        String route,
        String step,
        Long version,
        String errorClass,
        String code,
        Integer status,
        String field,
        String text,
        int attempts,
        Instant at,
        String topic,
        byte[] message,
        Map<String, String> headers,
        JsonNode request,
        JsonNode systems) {

    public Letter {
        // a neighbour's own words may quote the record
        text = Masking.inText(text);
        field = Masking.inText(field);
    }

    private static final String MESSAGE = "message@";
    private static final String UNKNOWN = "unknown@";

    /** What failed: a record's delivery, one of its fields, a message, or a message of another's making. */
    public enum Kind {
        DELIVERY,
        FIELD,
        MESSAGE,
        UNKNOWN
    }

    static Kind kind(String slot) {
        if (slot.isEmpty()) {
            return Kind.DELIVERY;
        }
        return slot.startsWith(MESSAGE) ? Kind.MESSAGE : slot.startsWith(UNKNOWN) ? Kind.UNKNOWN : Kind.FIELD;
    }

    static String messageSlot(String place) {
        return MESSAGE + place;
    }

    /** Of a message in no form that is known here: it can't be put back, only told of. */
    public static String unknownSlot(String place) {
        return UNKNOWN + place;
    }

    /** Letters of one cause: the error and where it arose, with ids and digits folded. */
    String group() {
        return group(errorClass, code, status, route, step, text, id);
    }

    static String group(
            String errorClass, String code, Integer status, String route, String step, String text, String id) {
        String folded = text == null ? "" : text;
        if (id.length() > 2) {
            folded = folded.replace(id, "#");
        }
        folded = folded.replaceAll("(?i)\\b[0-9a-f]{8}-[0-9a-f-]{27,}", "#")
                .replaceAll("(?i)\\b(?=[a-f]*\\d)[0-9a-f]{12,}\\b", "#")
                .replaceAll("\\d+", "#");
        String cause = (code == null ? errorClass : code + (status == null ? "" : "/" + status))
                + '|'
                + route
                + '|'
                + step
                + '|'
                + folded;
        return UUID.nameUUIDFromBytes(cause.getBytes(StandardCharsets.UTF_8))
                .toString()
                .substring(0, 13);
    }

    ObjectNode json() {
        ObjectNode json = Json.MAPPER.createObjectNode();
        json.put("event_id", eventId)
                .put("entity", entity)
                .put("id", id)
                .put("system", system)
                .put("slot", slot);
        json.put("route", route).put("step", step).put("version", version).put("attempts", attempts);
        json.put("class", errorClass).put("code", code).put("status", status).put("message", text);
        json.put("field", field);
        json.put("at", at.toString());
        json.set("request", request);
        json.set("systems", systems);
        return json;
    }
}
