package dev.twinsync;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.record.Schema;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;

/** Whether quiet systems hold what the golden records say, field by field. */
public final class Comparison {

    private Comparison() {}

    /**
     * What is not the same.
     *
     * @param golden id to path to value, of every record that any system holds
     * @param systems system to id to path to value
     */
    public static List<String> differences(
            Map<String, Map<String, JsonNode>> golden, Map<String, Map<String, Map<String, JsonNode>>> systems) {
        List<String> differences = new ArrayList<>();
        golden.forEach((id, values) -> systems.forEach((system, records) -> {
            Map<String, JsonNode> held = records.get(id);
            if (isDeleted(values)) {
                // a deletion is all that is said of a deleted record
                if (held != null && !isDeleted(held)) {
                    differences.add(id + " is deleted, but not at " + system);
                }
                return;
            }
            compare(id, system, values, held == null ? Map.of() : held, differences);
        }));
        return differences;
    }

    private static boolean isDeleted(Map<String, JsonNode> values) {
        return values.containsKey("deleted") && values.get("deleted").asBoolean();
    }

    private static void compare(
            String id,
            String system,
            Map<String, JsonNode> golden,
            Map<String, JsonNode> held,
            List<String> differences) {
        Set<String> paths = new TreeSet<>(golden.keySet());
        paths.addAll(held.keySet());
        for (String path : paths) {
            if (!Objects.equals(golden.get(path), held.get(path))) {
                differences.add(
                        id + ' ' + path + ": golden " + golden.get(path) + ", " + system + ' ' + held.get(path));
            }
        }
    }

    /** A record's values by path, in normal form. */
    public static Map<String, JsonNode> normal(Schema schema, ObjectNode data) {
        Schema.Normalised normalised = schema.normalise(data, true);
        assertThat(normalised.problems()).isEmpty();
        return normalised.values();
    }
}
