package dev.twinsync.record;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.NullNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** A schema file, compiled. */
final class CompiledSchema implements Schema {

    private final String entity;
    private final String plural;
    private final String key;
    private final List<String> systems;
    private final List<Field> fields;
    private final Map<String, Field> byName = new LinkedHashMap<>();
    private final Map<String, Form> forms;
    private final Map<String, Set<String>> required = new HashMap<>();

    CompiledSchema(
            String entity,
            String plural,
            String key,
            List<String> systems,
            List<Field> fields,
            Map<String, Form> forms) {
        this.entity = entity;
        this.plural = plural;
        this.key = key;
        this.systems = systems;
        this.fields = fields;
        this.forms = forms;
        fields.forEach(field -> byName.put(field.name(), field));
        for (String system : systems) {
            Set<String> names = new HashSet<>();
            fields.stream().filter(f -> f.requiredAt().contains(system)).forEach(f -> names.add(f.name()));
            required.put(system, Set.copyOf(names));
        }
    }

    @Override
    public String entity() {
        return entity;
    }

    @Override
    public String plural() {
        return plural;
    }

    @Override
    public String key() {
        return key;
    }

    @Override
    public List<String> systems() {
        return systems;
    }

    @Override
    public List<Field> fields() {
        return fields;
    }

    @Override
    public Field field(String path) {
        Field field = byName.get(path);
        if (field != null) {
            return field;
        }
        int dot = path.indexOf('.');
        Field whole = dot < 0 ? null : byName.get(path.substring(0, dot));
        return whole != null && whole.byKey() ? whole : null;
    }

    @Override
    public Set<String> requiredAt(String system) {
        return required.getOrDefault(system, Set.of());
    }

    @Override
    public Normalised normalise(ObjectNode data, boolean whole) {
        Map<String, JsonNode> values = new HashMap<>();
        List<Problem> problems = new ArrayList<>();
        for (Map.Entry<String, JsonNode> entry : data.properties()) {
            String name = entry.getKey();
            Field field = byName.get(name);
            if (field == null) {
                if (!whole && !name.equals(key)) {
                    problems.add(new Problem("/" + name, name, "no such field; known are " + byName.keySet()));
                }
                continue;
            }
            JsonNode stated = entry.getValue();
            if (stated.isNull()) {
                if (!whole && field.byKey()) {
                    problems.add(new Problem("/" + name, name, "clear its keys one by one"));
                } else if (!whole) {
                    values.put(name, NullNode.getInstance());
                }
                continue;
            }
            int before = problems.size();
            JsonNode normal = forms.get(name)
                    .apply(stated, "/" + name, !whole, (at, message) -> problems.add(new Problem(at, name, message)));
            if (problems.size() > before || normal == null) {
                continue;
            }
            if (normal.isArray() && normal.isEmpty()) {
                // no elements and no array are one: a table of lines can't tell them apart
                if (!whole) {
                    values.put(name, NullNode.getInstance());
                }
            } else if (field.byKey()) {
                normal.properties().forEach(member -> values.put(name + '.' + member.getKey(), member.getValue()));
            } else {
                values.put(name, normal);
            }
        }
        return new Normalised(values, problems);
    }

    @Override
    public ObjectNode assemble(Map<String, JsonNode> values) {
        ObjectNode object = Json.MAPPER.createObjectNode();
        for (Field field : fields) {
            JsonNode value = value(field.name(), values);
            if (!value.isNull()) {
                object.set(field.name(), value);
            }
        }
        return object;
    }

    @Override
    public JsonNode value(String name, Map<String, JsonNode> values) {
        Field field = byName.get(name);
        if (field == null || !field.byKey()) {
            JsonNode value = values.get(name);
            return value == null ? NullNode.getInstance() : value;
        }
        ObjectNode object = Json.MAPPER.createObjectNode();
        String prefix = name + '.';
        values.keySet().stream()
                .filter(path -> path.startsWith(prefix))
                .sorted()
                .forEach(path -> {
                    JsonNode value = values.get(path);
                    if (value != null && !value.isNull()) {
                        object.set(path.substring(prefix.length()), value);
                    }
                });
        return object;
    }

    @Override
    public String refuseId(String id) {
        if (id == null || id.isEmpty() || id.codePointCount(0, id.length()) > 64) {
            return "an id has 1 to 64 characters";
        }
        for (int i = 0; i < id.length(); i++) {
            char c = id.charAt(i);
            boolean pair =
                    Character.isHighSurrogate(c) && i + 1 < id.length() && Character.isLowSurrogate(id.charAt(i + 1));
            if (pair) {
                i++;
            } else if (Character.isISOControl(c) || c == '/' || Character.isSurrogate(c)) {
                return "an id has no control characters and no /";
            }
        }
        return null;
    }
}
