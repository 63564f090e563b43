package dev.twinsync.merge;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.record.Json;
import dev.twinsync.record.Times;

/** An observation as the value of a message: the envelope of {@code <entity>.observed}. */
public final class ObservationJson {

    /** Envelopes of other versions that this service reads; an unknown member is passed over. */
    private static final int VERSION = 1;

    private ObservationJson() {}

    public static byte[] write(Observation o) {
        ObjectNode json = Json.MAPPER.createObjectNode();
        json.put("v", VERSION);
        json.put("kind", o.kind().name().toLowerCase(java.util.Locale.ROOT));
        json.put("entity", o.entity());
        json.put("id", o.id());
        json.put("system", o.system());
        json.put("exists", o.exists());
        json.set("data", o.data());
        json.put("position", o.position());
        if (o.ticks() != null) {
            json.putArray("ticks").add(o.ticks().began()).add(o.ticks().ended());
        }
        if (o.changedAt() != null) {
            json.put("changed_at", Times.text(o.changedAt()));
        }
        json.put("observed_at", Times.text(o.observedAt()));
        json.put("event_id", o.eventId());
        if (o.digest() != null) {
            json.put("digest", o.digest());
        }
        if (o.traceparent() != null) {
            json.put("traceparent", o.traceparent());
        }
        return Json.bytes(json);
    }

    /** @throws IllegalArgumentException where the bytes are no observation, naming the member that is missing or wrong */
    public static Observation read(byte[] bytes) {
        JsonNode json = Json.stored(bytes);
        if (!json.isObject()) {
            throw new IllegalArgumentException("an observation is a JSON object");
        }
        try {
            JsonNode ticks = json.get("ticks");
            JsonNode changed = json.get("changed_at");
            Observation.Kind kind = Observation.Kind.valueOf(text(json, "kind").toUpperCase(java.util.Locale.ROOT));
            if (kind != Observation.Kind.PUSH && (ticks == null || !ticks.isArray() || ticks.size() != 2)) {
                throw new IllegalArgumentException("ticks: a reading carries two");
            }
            if (!(json.get("data") instanceof ObjectNode data)) {
                throw new IllegalArgumentException("data: an object is needed");
            }
            JsonNode position = json.get("position");
            return new Observation(
                    kind,
                    text(json, "entity"),
                    text(json, "id"),
                    text(json, "system"),
                    json.path("exists").asBoolean(true),
                    data,
                    position == null || position.isNull() ? null : position.asText(),
                    ticks == null
                            ? null
                            : new Ticks(ticks.get(0).asLong(), ticks.get(1).asLong()),
                    changed == null || changed.isNull() ? null : Times.read(changed.asText()),
                    Times.read(text(json, "observed_at")),
                    text(json, "event_id"),
                    json.path("traceparent").isTextual()
                            ? json.get("traceparent").asText()
                            : null,
                    json.path("digest").isTextual() ? json.get("digest").asText() : null);
        } catch (java.time.format.DateTimeParseException e) {
            throw new IllegalArgumentException("a time is not RFC 3339: " + e.getMessage(), e);
        }
    }

    private static String text(JsonNode json, String member) {
        JsonNode value = json.get(member);
        if (value == null || !value.isTextual() || value.asText().isEmpty()) {
            throw new IllegalArgumentException(member + ": a text is needed");
        }
        return value.asText();
    }
}
