package dev.twinsync.merge;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.BooleanNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.record.Field;
import dev.twinsync.record.Json;
import dev.twinsync.record.Rule;
import dev.twinsync.record.Schema;
import dev.twinsync.record.StatusFlow;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** A schema with one field of each rule, for tests of the merge that need no file. */
class TestSchema implements Schema {

    static final StatusFlow ORDER = new StatusFlow(
            Map.of(
                    "pending_payment", List.of("paid", "cancelled"),
                    "paid", List.of("shipped", "refunding", "refunded"),
                    "shipped", List.of("delivered", "refunding"),
                    "delivered", List.of("completed", "refunding"),
                    "completed", List.of("refunding"),
                    "refunding", List.of("refunded")),
            List.of(
                    "pending_payment",
                    "cancelled",
                    "paid",
                    "shipped",
                    "delivered",
                    "completed",
                    "refunding",
                    "refunded"),
            "refunding",
            "refunded",
            Map.of());

    private final List<String> systems;
    private final Map<String, Field> fields = new LinkedHashMap<>();

    TestSchema(List<String> systems) {
        this.systems = systems;
        add("a", Rule.NEWEST, false);
        add("b", Rule.NEWEST, false);
        add("first", Rule.FIRST, false);
        add("owned", Rule.OWNER, false);
        add("keys", Rule.NEWEST, true);
        add("status", Rule.FORWARD, false);
        add("deleted", Rule.STICKY, false);
    }

    private void add(String name, Rule rule, boolean byKey) {
        fields.put(
                name,
                new Field(
                        name,
                        rule,
                        rule == Rule.OWNER ? "app" : null,
                        byKey,
                        Map.of(),
                        name.equals("deleted") ? BooleanNode.FALSE : null,
                        false,
                        Set.copyOf(systems),
                        Set.of(),
                        false,
                        rule == Rule.FORWARD ? ORDER : null));
    }

    @Override
    public String entity() {
        return "thing";
    }

    @Override
    public String plural() {
        return "things";
    }

    @Override
    public String key() {
        return "thing_id";
    }

    @Override
    public List<String> systems() {
        return systems;
    }

    @Override
    public List<Field> fields() {
        return List.copyOf(fields.values());
    }

    @Override
    public Field field(String path) {
        return fields.get(Due.name(path));
    }

    @Override
    public Set<String> requiredAt(String system) {
        return Set.of();
    }

    @Override
    public Normalised normalise(ObjectNode data, boolean whole) {
        Map<String, JsonNode> values = new HashMap<>();
        data.properties().forEach(e -> values.put(e.getKey(), e.getValue()));
        return new Normalised(values, List.of());
    }

    @Override
    public ObjectNode assemble(Map<String, JsonNode> values) {
        ObjectNode object = Json.MAPPER.createObjectNode();
        values.forEach(object::set);
        return object;
    }

    @Override
    public JsonNode value(String field, Map<String, JsonNode> values) {
        return values.get(field);
    }

    @Override
    public String refuseId(String id) {
        return null;
    }
}
