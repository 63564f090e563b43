package dev.twinsync.merge;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;

/**
 * The golden record: the one merged state of a record. Its version only grows; 0 means it does not exist yet.
 *
 * @param fields path to state; a cleared path stays with a null value, so that its time is remembered
 */
public record Golden(String id, long version, Map<String, FieldState> fields) {

    /**
     * @param value normal form, null when cleared
     * @param version the golden version in which it changed last
     * @param system the system that stated it, {@code operator} for a person
     * @param time corrected time of the change; {@link Instant#EPOCH} for a default
     */
    public record FieldState(JsonNode value, long version, String system, Instant time) {}

    public static Golden none(String id) {
        return new Golden(id, 0, Map.of());
    }

    public JsonNode value(String path) {
        FieldState state = fields.get(path);
        return state == null ? null : state.value();
    }

    /** Paths with a value. */
    public Map<String, JsonNode> values() {
        Map<String, JsonNode> values = new HashMap<>();
        fields.forEach((path, state) -> {
            if (state.value() != null) {
                values.put(path, state.value());
            }
        });
        return values;
    }

    public boolean deleted() {
        JsonNode deleted = value("deleted");
        return deleted != null && deleted.asBoolean();
    }
}
