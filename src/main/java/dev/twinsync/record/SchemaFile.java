package dev.twinsync.record;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.record.Schemas.InvalidSchema;
import java.math.BigDecimal;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.PatternSyntaxException;

/** Compiles a schema file once, so that normalising a record looks nothing up. */
final class SchemaFile {

    private static final Set<String> TOP =
            Set.of("$schema", "title", "description", "entity", "plural", "key", "systems", "type", "properties");
    private static final Set<String> FIELD = Set.of(
            "rule",
            "owner",
            "by_key",
            "newest_while",
            "default",
            "default_from",
            "systems",
            "required_at",
            "personal",
            "flow");
    private static final Set<String> VALUE = Set.of(
            "type",
            "title",
            "description",
            "maxLength",
            "minLength",
            "pattern",
            "enum",
            "format",
            "minimum",
            "maximum",
            "decimals",
            "maxItems",
            "items",
            "sorted_by",
            "properties",
            "required",
            "additionalProperties",
            "normal_form",
            "codes");

    private final Path file;

    private SchemaFile(Path file) {
        this.file = file;
    }

    static Schema compile(Path file, JsonNode tree) {
        return new SchemaFile(file).schema(tree);
    }

    private InvalidSchema wrong(String where, String message) {
        return new InvalidSchema(file + ": " + where + ": " + message);
    }

    private Schema schema(JsonNode tree) {
        if (tree == null || !tree.isObject()) {
            throw wrong("file", "write a mapping with entity, plural, key, systems and properties");
        }
        known("file", tree, TOP);
        List<String> systems = texts("systems", tree.path("systems"));
        if (systems.isEmpty()) {
            throw wrong("systems", "write the systems that hold it, e.g. [app, mini]");
        }
        JsonNode properties = tree.path("properties");
        if (!properties.isObject() || properties.isEmpty()) {
            throw wrong("properties", "write at least one field");
        }
        List<Field> fields = new ArrayList<>();
        Map<String, Form> forms = new LinkedHashMap<>();
        properties.properties().forEach(entry -> {
            Field field = field(entry.getKey(), entry.getValue(), systems);
            fields.add(field);
            forms.put(entry.getKey(), form(entry.getKey(), entry.getValue(), field));
        });
        for (Field field : fields) {
            field.newestWhile().forEach((other, value) -> {
                if (!forms.containsKey(other)) {
                    throw wrong(field.name() + ".newest_while", "there is no field " + other);
                }
                fits(field.name() + ".newest_while." + other, value, forms.get(other));
            });
            JsonNode usual = properties.path(field.name()).path("default");
            if (!usual.isMissingNode()) {
                fits(field.name() + ".default", usual, forms.get(field.name()));
            }
        }
        return new CompiledSchema(
                text("entity", tree), text("plural", tree), text("key", tree), systems, List.copyOf(fields), forms);
    }

    private void fits(String where, JsonNode value, Form form) {
        form.apply(value, "", false, (pointer, message) -> {
            throw wrong(where, "not a value of the field: " + message);
        });
    }

    private Field field(String name, JsonNode node, List<String> systems) {
        if (!name.matches("[a-z][a-z0-9_]*")) {
            throw wrong("properties." + name, "write field names in snake_case");
        }
        Set<String> known = new LinkedHashSet<>(FIELD);
        known.addAll(VALUE);
        known(name, node, known);
        Rule rule;
        try {
            rule = Rule.valueOf(node.path("rule").asText().toUpperCase(java.util.Locale.ROOT));
        } catch (IllegalArgumentException e) {
            throw wrong(name + ".rule", "write one of newest, owner, forward, first, sticky");
        }
        String owner =
                node.path("owner").isMissingNode() ? null : node.path("owner").asText();
        if (rule == Rule.OWNER && !systems.contains(owner)) {
            throw wrong(name + ".owner", "write which of " + systems + " owns it");
        }
        if (rule == Rule.FORWARD != node.has("flow")) {
            throw wrong(name + ".flow", "a field with the rule forward, and no other, has a flow");
        }
        if (rule == Rule.STICKY && !"boolean".equals(node.path("type").asText())) {
            throw wrong(name + ".type", "the rule sticky is for booleans");
        }
        boolean byKey = flag(name, node, "by_key");
        Map<String, JsonNode> newestWhile = new HashMap<>();
        node.path("newest_while").properties().forEach(e -> newestWhile.put(e.getKey(), e.getValue()));
        String from = node.path("default_from").asText("");
        if (!from.isEmpty() && !from.equals("observed_at")) {
            throw wrong(name + ".default_from", "write observed_at");
        }
        return new Field(
                name,
                rule,
                owner,
                byKey,
                Map.copyOf(newestWhile),
                node.get("default"),
                !from.isEmpty(),
                node.has("systems") ? some(name + ".systems", node.path("systems"), systems) : Set.copyOf(systems),
                node.has("required_at") ? some(name + ".required_at", node.path("required_at"), systems) : Set.of(),
                flag(name, node, "personal"),
                rule == Rule.FORWARD ? flow(name, node.path("flow")) : null);
    }

    private StatusFlow flow(String name, JsonNode node) {
        Map<String, List<String>> followers = new LinkedHashMap<>();
        Map<String, String> labels = new HashMap<>();
        List<String> ranks = new ArrayList<>();
        String dispute = null;
        for (Map.Entry<String, JsonNode> stage : node.properties()) {
            ranks.add(stage.getKey());
            followers.put(stage.getKey(), texts(name + ".flow", stage.getValue().path("then")));
            if (stage.getValue().has("label")) {
                labels.put(stage.getValue().path("label").asText(), stage.getKey());
            }
            if (flag(name + ".flow." + stage.getKey(), stage.getValue(), "dispute")) {
                dispute = stage.getKey();
            }
        }
        followers
                .values()
                .forEach(then -> then.forEach(to -> {
                    if (!ranks.contains(to)) {
                        throw wrong(name + ".flow", "there is no stage " + to);
                    }
                }));
        String end = dispute == null || followers.get(dispute).isEmpty()
                ? null
                : followers.get(dispute).get(0);
        return new StatusFlow(followers, ranks, dispute, end, labels);
    }

    private Form form(String where, JsonNode node, Field field) {
        String type = node.path("type").asText("");
        return switch (type) {
            case "string" -> string(where, node, field);
            case "boolean" -> Forms.bool();
            case "integer" -> Forms.integer(number(where, node, "minimum"), number(where, node, "maximum"));
            case "number" ->
                Forms.decimal(
                        count(where, node, "decimals", 2),
                        number(where, node, "minimum"),
                        number(where, node, "maximum"));
            case "array" -> {
                JsonNode items = node.path("items");
                if (!items.isObject()) {
                    throw wrong(where + ".items", "write what the array holds");
                }
                known(where + ".items", items, VALUE);
                yield Forms.array(
                        form(where + ".items", items, null),
                        count(where, node, "maxItems", 1000),
                        node.has("sorted_by") ? node.path("sorted_by").asText() : null);
            }
            case "object" -> {
                Map<String, Form> members = new LinkedHashMap<>();
                node.path("properties").properties().forEach(member -> {
                    known(where + "." + member.getKey(), member.getValue(), VALUE);
                    members.put(member.getKey(), form(where + "." + member.getKey(), member.getValue(), null));
                });
                JsonNode others = node.path("additionalProperties");
                if (members.isEmpty() && !others.isObject()) {
                    throw wrong(where + ".properties", "write the members of the object, or additionalProperties");
                }
                List<String> required = texts(where + ".required", node.path("required"));
                if (!others.isObject() && !members.keySet().containsAll(required)) {
                    throw wrong(where + ".required", "write some of " + members.keySet());
                }
                yield Forms.object(
                        members,
                        others.isObject() ? form(where + ".additionalProperties", others, null) : null,
                        Set.copyOf(required));
            }
            default -> throw wrong(where + ".type", "write one of string, boolean, integer, number, array, object");
        };
    }

    private Form string(String where, JsonNode node, Field field) {
        int max = count(where, node, "maxLength", 4096);
        if (field != null && field.flow() != null) {
            return Forms.stage(field.flow());
        }
        if (node.has("enum")) {
            return Forms.choice(texts(where + ".enum", node.path("enum")));
        }
        if (node.has("codes")) {
            Map<String, String> codes = new HashMap<>();
            node.path("codes").properties().forEach(code -> texts(where + ".codes", code.getValue())
                    .forEach(name -> codes.put(name, code.getKey())));
            return Forms.code(codes, max);
        }
        if ("date-time".equals(node.path("format").asText())) {
            return Forms.time();
        }
        if (node.has("format")) {
            throw wrong(where + ".format", "only date-time is known; write a normal_form or a pattern");
        }
        String form = node.path("normal_form").asText("");
        if (form.isEmpty() && node.has("pattern")) {
            try {
                return Forms.pattern(node.path("pattern").asText(), max);
            } catch (PatternSyntaxException e) {
                throw wrong(where + ".pattern", "no regular expression: " + e.getDescription());
            }
        }
        return switch (form) {
            case "" -> Forms.text(count(where, node, "minLength", 0), max);
            case "trim_nfc" -> Forms.trimmed(max);
            case "http_url" -> Forms.url(max);
            case "mobile_cn" -> Forms.mobile("CN");
            case "language_tag" -> Forms.language(max);
            case "currency" -> Forms.currency();
            default ->
                throw wrong(
                        where + ".normal_form", "write one of trim_nfc, http_url, mobile_cn, language_tag, currency");
        };
    }

    private BigDecimal number(String where, JsonNode node, String keyword) {
        JsonNode value = node.path(keyword);
        if (value.isMissingNode()) {
            return null;
        }
        if (!value.isNumber()) {
            throw wrong(where + "." + keyword, "write a number");
        }
        return value.decimalValue();
    }

    private int count(String where, JsonNode node, String keyword, int otherwise) {
        JsonNode value = node.path(keyword);
        if (value.isMissingNode()) {
            return otherwise;
        }
        if (!value.isInt() || value.intValue() < 0) {
            throw wrong(where + "." + keyword, "write a whole number, 0 or more");
        }
        return value.intValue();
    }

    private boolean flag(String where, JsonNode node, String keyword) {
        JsonNode value = node.path(keyword);
        if (!value.isMissingNode() && !value.isBoolean()) {
            throw wrong(where + "." + keyword, "write true or false");
        }
        return value.asBoolean(false);
    }

    private void known(String where, JsonNode node, Set<String> keywords) {
        node.fieldNames().forEachRemaining(keyword -> {
            if (!keywords.contains(keyword)) {
                throw wrong(
                        where + "." + keyword,
                        "no such keyword; known are "
                                + keywords.stream().sorted().toList());
            }
        });
    }

    private String text(String where, JsonNode tree) {
        String text = tree.path(where).asText("");
        if (!text.matches("[a-z][a-z0-9_]*")) {
            throw wrong(where, "write a name in snake_case");
        }
        return text;
    }

    private List<String> texts(String where, JsonNode node) {
        List<String> texts = new ArrayList<>();
        if (!node.isMissingNode() && !node.isArray()) {
            throw wrong(where, "write a list");
        }
        node.forEach(text -> texts.add(text.asText()));
        return List.copyOf(texts);
    }

    private Set<String> some(String where, JsonNode node, List<String> systems) {
        List<String> some = texts(where, node);
        if (!systems.containsAll(some)) {
            throw wrong(where, "write some of " + systems);
        }
        return Set.copyOf(some);
    }
}
