package dev.twinsync.verification;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.BooleanNode;
import com.fasterxml.jackson.databind.node.NullNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.merge.Due;
import dev.twinsync.merge.Golden;
import dev.twinsync.record.Json;
import java.util.Map;
import java.util.TreeMap;

/**
 * Takes one repair back: what it took away, the values that were found or the golden ones, becomes true again. A pure
 * function of what the run has kept and what is golden now.
 *
 * @param from path to the value that the repair has left, as it is golden now; null for none
 * @param to path to the value that is put back
 */
record Undo(Map<String, JsonNode> from, Map<String, JsonNode> to) {

    private static final String DELETED = "deleted";

    /** What is known of an undo that has begun. */
    enum Progress {
        OPEN,
        DONE,
        /** Somebody has changed one of its values since: that stands. */
        OVERTAKEN
    }

    /**
     * @param kind of the difference that was repaired; {@code fields} as the run has kept them, in full
     * @return null where something newer stands
     */
    static Undo of(Golden golden, String system, String kind, JsonNode fields) {
        Map<String, JsonNode> found = new TreeMap<>();
        Map<String, JsonNode> former = new TreeMap<>();
        fields.forEach(field -> {
            found.put(field.path("field").asText(), nullable(field.get(system)));
            former.put(field.path("field").asText(), nullable(field.get("golden")));
        });
        // a record that was not there, at the system or in the golden records, is a deleted one
        if (kind.equals("missing")) {
            return gone(golden, former);
        }
        if (kind.equals("surplus")) {
            return gone(golden, found);
        }
        Map<String, JsonNode> from = new TreeMap<>();
        Map<String, JsonNode> to = new TreeMap<>();
        for (String path : found.keySet()) {
            JsonNode now = value(path, golden.value(path));
            JsonNode there = value(path, found.get(path));
            JsonNode then = value(path, former.get(path));
            if (!Due.same(now, then) && !Due.same(now, there)) {
                return null;
            }
            from.put(path, now);
            // where a rule had kept the golden value, the repair took the found one away
            to.put(path, Due.same(now, then) ? there : then);
        }
        return new Undo(from, to);
    }

    private static Undo gone(Golden golden, Map<String, JsonNode> values) {
        Map<String, JsonNode> alive = new TreeMap<>(values);
        alive.put(DELETED, BooleanNode.FALSE);
        if (golden.deleted()) {
            return new Undo(Map.of(DELETED, BooleanNode.TRUE), alive);
        }
        Undo undo = new Undo(alive, Map.of(DELETED, BooleanNode.TRUE));
        return undo.stands(golden, alive) ? undo : null;
    }

    Progress progress(Golden golden) {
        return stands(golden, to) ? Progress.DONE : stands(golden, from) ? Progress.OPEN : Progress.OVERTAKEN;
    }

    private boolean stands(Golden golden, Map<String, JsonNode> values) {
        return values.entrySet().stream()
                .allMatch(e -> Due.same(value(e.getKey(), golden.value(e.getKey())), value(e.getKey(), e.getValue())));
    }

    /** The operator's edit: nothing but what is put back; a NullNode clears. */
    ObjectNode edit() {
        ObjectNode edit = Json.MAPPER.createObjectNode();
        to.forEach((path, value) -> {
            JsonNode put = value == null ? NullNode.getInstance() : value;
            int dot = path.indexOf('.');
            if (dot < 0) {
                edit.set(path, put);
            } else {
                edit.withObjectProperty(path.substring(0, dot)).set(path.substring(dot + 1), put);
            }
        });
        return edit;
    }

    String text() {
        ObjectNode text = Json.MAPPER.createObjectNode();
        ObjectNode fromNode = text.putObject("from");
        from.forEach(fromNode::set);
        ObjectNode toNode = text.putObject("to");
        to.forEach(toNode::set);
        return Json.text(text);
    }

    static Undo read(JsonNode text) {
        return new Undo(map(text.path("from")), map(text.path("to")));
    }

    private static Map<String, JsonNode> map(JsonNode node) {
        Map<String, JsonNode> map = new TreeMap<>();
        node.properties().forEach(e -> map.put(e.getKey(), nullable(e.getValue())));
        return map;
    }

    /** Never to have been deleted is not to be deleted. */
    private static JsonNode value(String path, JsonNode value) {
        return path.equals(DELETED) && nullable(value) == null ? BooleanNode.FALSE : nullable(value);
    }

    private static JsonNode nullable(JsonNode value) {
        return value == null || value.isNull() || value.isMissingNode() ? null : value;
    }
}
