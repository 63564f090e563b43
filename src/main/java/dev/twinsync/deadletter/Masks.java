package dev.twinsync.deadletter;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import dev.twinsync.record.Field;
import dev.twinsync.record.Json;
import dev.twinsync.record.Masking;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Pattern;
import org.springframework.stereotype.Component;

/**
 * What of a letter may be shown: personal fields by the schema's word wherever they stand, and in free text, which may be
 * anyone's, what looks like a phone or a credential.
 */
@Component
class Masks {

    private static final Pattern SECRET_NAME =
            Pattern.compile("(?i).*(authorization|cookie|token|secret|password|api-?key).*");
    private static final Pattern ID_NAME =
            Pattern.compile("(?i)(.*[_-])?id|idempotency_key|subject|ce_subject|ce_id|version|position|if_match");

    private final Set<String> personal = new HashSet<>();
    private final Set<String> keys = new HashSet<>();

    Masks(Schemas schemas) {
        for (Schema schema : schemas.all()) {
            keys.add(schema.key());
            schema.fields().stream().filter(Field::personal).forEach(field -> personal.add(field.name()));
        }
    }

    /** A tree as it may be shown; the original is left alone. */
    JsonNode tree(JsonNode node) {
        if (node instanceof ObjectNode object) {
            ObjectNode masked = Json.MAPPER.createObjectNode();
            object.properties()
                    .forEach(member -> masked.set(member.getKey(), member(member.getKey(), member.getValue())));
            return masked;
        }
        if (node instanceof ArrayNode array) {
            ArrayNode masked = Json.MAPPER.createArrayNode();
            array.forEach(item -> masked.add(tree(item)));
            return masked;
        }
        return node != null && node.isTextual() ? TextNode.valueOf(Masking.inText(node.asText())) : node;
    }

    private JsonNode member(String name, JsonNode value) {
        if (value.isNull()) {
            return value;
        }
        if (personal.contains(name)) {
            return TextNode.valueOf(value.isValueNode() ? Masking.mask(value.asText()) : "****");
        }
        if (value.isValueNode() && SECRET_NAME.matcher(name).matches()) {
            return TextNode.valueOf("****");
        }
        return value.isValueNode()
                        && (keys.contains(name) || ID_NAME.matcher(name).matches())
                ? value
                : tree(value);
    }

    /** A message as it may be shown: a tree where it is JSON that can be written again, else its text. */
    JsonNode message(byte[] message) {
        if (message == null) {
            return null;
        }
        try {
            JsonNode shown = tree(Json.read(message));
            // 1e-999999999 is read, and written out in full by nobody
            Json.bytes(shown);
            return shown;
        } catch (IllegalArgumentException e) {
            return TextNode.valueOf(Masking.inText(new String(message, StandardCharsets.UTF_8)));
        }
    }

    JsonNode headers(JsonNode headers) {
        Map<String, JsonNode> sorted = new TreeMap<>();
        headers.properties().forEach(header -> sorted.put(header.getKey(), member(header.getKey(), header.getValue())));
        return Json.MAPPER.valueToTree(sorted);
    }

    /** The value of a record's field as it may be shown. */
    static JsonNode value(Schema schema, String path, JsonNode value) {
        return Masking.mask(schema.field(path), value);
    }
}
