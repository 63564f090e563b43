package dev.twinsync.record;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

/** Objects in a push are partial: what it does not state stays, a null member clears. */
public final class Overlay {

    private Overlay() {}

    /** The value that a push leaves of {@code before}; null where nothing is left. */
    public static JsonNode apply(JsonNode before, JsonNode stated, Field field) {
        if (stated == null || stated.isNull()) {
            return null;
        }
        if (!stated.isObject() || field == null || field.byKey()) {
            return stated;
        }
        ObjectNode result = before instanceof ObjectNode object ? object.deepCopy() : Json.MAPPER.createObjectNode();
        stated.properties().forEach(member -> {
            if (member.getValue().isNull()) {
                result.remove(member.getKey());
            } else {
                result.set(member.getKey(), member.getValue());
            }
        });
        return result.isEmpty() ? null : result;
    }
}
