package dev.twinsync.deadletter;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.record.Json;
import dev.twinsync.record.Masking;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Map;

/**
 * A message that could not be handled, on its way to the store.
 *
 * @param eventId the letter's own id: stored twice, it is one letter
 * @param slot what of the record: empty for its delivery, else the field that can't be used
 * @param version the golden version that was to be delivered, or null
 * @param status HTTP status or null; {@code code} the system's own code, or null
 * @param topic the topic of the original; its letters go to {@code <topic>-dlt}
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
    }

    /** Letters of one cause: the error and where it arose, with ids and digits folded. */
    String group() {
        String folded = text == null
                ? ""
                : text.replaceAll("[0-9a-fA-F]{8}-[0-9a-fA-F-]{27,}", "#").replaceAll("\\d+", "#");
        String cause = (code == null ? errorClass : code + (status == null ? "" : "/" + status))
                + '|'
                + route
                + '|'
                + step
                + '|'
                + folded;
        return java.util
                .UUID
                .nameUUIDFromBytes(cause.getBytes(StandardCharsets.UTF_8))
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
        json.put("at", at.toString());
        json.set("request", request);
        json.set("systems", systems);
        return json;
    }
}
