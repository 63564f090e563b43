package dev.twinsync.merge;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What writing to a system does to its base: the intent before the call, the answer after it.
 *
 * <p>A write whose answer never comes leaves the intent: should its values turn up in a reading, they are ours and not
 * the system's edit.
 */
public final class Writes {

    private Writes() {}

    /** Before the call: the values are on their way, with an unknown outcome. */
    public static Base intended(Base b, Map<String, JsonNode> values) {
        Map<String, List<JsonNode>> intents = new HashMap<>(b.intents());
        values.forEach((path, value) -> {
            List<JsonNode> known = new ArrayList<>(intents.getOrDefault(path, List.of()));
            JsonNode kept = value == null ? com.fasterxml.jackson.databind.node.NullNode.getInstance() : value;
            if (!known.contains(kept)) {
                known.add(kept);
            }
            intents.put(path, List.copyOf(known));
        });
        return b.intending(intents);
    }

    /**
     * The system took the write and answered with its position alone: what was sent is assumed held, and the first
     * reading at that position shows how the system renders it.
     *
     * @param ticks before the call and after its answer
     * @param version the golden version that was delivered
     */
    public static Base answered(Base b, Map<String, JsonNode> values, String position, Ticks ticks, long version) {
        Map<String, JsonNode> held = new HashMap<>(b.exists() ? b.held() : Map.of());
        Map<String, JsonNode> sent = new HashMap<>(b.sent());
        values.forEach((path, value) -> {
            JsonNode plain = Due.nullable(value);
            if (plain == null) {
                held.remove(path);
                sent.put(path, com.fasterxml.jackson.databind.node.NullNode.getInstance());
            } else {
                held.put(path, plain);
                sent.put(path, plain);
            }
        });
        return new Base(
                b.system(),
                true,
                true,
                held,
                b.unusable(),
                position,
                ticks,
                false,
                b.doubtAt(),
                Map.of(),
                sent,
                Map.of(),
                position,
                version,
                b.revision());
    }

    /**
     * The system took the write, and what its record then held was read back in the same transaction.
     *
     * @param row the record as it then was; values that differ from what was sent are its rendering of them
     */
    public static Base answered(
            Base b,
            Map<String, JsonNode> values,
            Map<String, JsonNode> row,
            Set<String> unusable,
            String position,
            Ticks ticks,
            long version) {
        Map<String, JsonNode> sent = new HashMap<>(b.sent());
        values.forEach((path, value) -> {
            JsonNode plain = Due.nullable(value);
            if (Due.same(plain, row.get(path))) {
                sent.remove(path);
            } else {
                sent.put(path, plain == null ? com.fasterxml.jackson.databind.node.NullNode.getInstance() : plain);
            }
        });
        return new Base(
                b.system(),
                true,
                true,
                Map.copyOf(row),
                unusable,
                position,
                ticks,
                false,
                b.doubtAt(),
                Map.of(),
                sent,
                Map.of(),
                null,
                version,
                b.revision());
    }
}
