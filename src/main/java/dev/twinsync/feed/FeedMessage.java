package dev.twinsync.feed;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.NullNode;
import dev.twinsync.capture.KeyColumns;
import dev.twinsync.record.Json;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Set;

/**
 * What others write of a database's changes: Debezium's envelope, with its schema or without, and its tombstones; the
 * flat JSON of Canal, which Alibaba's DTS writes too. Only keys are taken; the record itself is read.
 */
final class FeedMessage {

    private FeedMessage() {}

    /**
     * Adds the keys that a message tells.
     *
     * @param key the record's key, or null
     * @param value the record's value, null for a tombstone
     * @return what was truncated, or null
     * @throws IllegalArgumentException where it is in no known form
     */
    static String learn(KeyColumns keys, String topic, byte[] key, byte[] value, Set<String> ids) {
        if (value == null || value.length == 0) {
            return tombstone(keys, topic, key, ids);
        }
        JsonNode message = json(value);
        if (message.path("schema").isObject() && message.has("payload")) {
            message = message.get("payload");
            if (message.isNull()) {
                return tombstone(keys, topic, key, ids);
            }
        }
        if (message.has("op") && message.path("source").isObject()) {
            return debezium(keys, message, ids);
        }
        if (message.has("type") && message.has("table") && message.has("data")) {
            return canal(keys, message, ids);
        }
        throw new IllegalArgumentException(
                "the feed's message is neither Debezium's envelope nor Canal's flat JSON; set the tool to one of them");
    }

    private static JsonNode json(byte[] bytes) {
        JsonNode message;
        try {
            message = Json.read(new String(bytes, StandardCharsets.UTF_8));
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("the feed's message is not JSON; set the tool to JSON");
        }
        if (message == null || !message.isObject()) {
            throw new IllegalArgumentException("the feed's message is no JSON object");
        }
        return message;
    }

    private static String debezium(KeyColumns keys, JsonNode message, Set<String> ids) {
        JsonNode source = message.get("source");
        String table = source.path("table").asText();
        String schema = source.hasNonNull("schema") ? source.get("schema").asText() : null;
        String column = keys.column(schema, table);
        String op = message.path("op").asText();
        if (column == null || op.equals("m")) {
            return null;
        }
        if (op.equals("t")) {
            return table + " was truncated";
        }
        boolean found = add(message.path("before"), column, ids);
        found |= add(message.path("after"), column, ids);
        if (!found) {
            throw new IllegalArgumentException("the feed's message tells no " + column + " of " + table);
        }
        return null;
    }

    /** The topic's last word is the table, the key holds the row's primary key. */
    private static String tombstone(KeyColumns keys, String topic, byte[] key, Set<String> ids) {
        String[] words = topic.split("\\.");
        String column = keys.column(null, words[words.length - 1]);
        if (column == null) {
            return null;
        }
        if (key == null || key.length == 0) {
            throw new IllegalArgumentException("a tombstone of the feed has no key");
        }
        JsonNode row = json(key);
        if (row.path("schema").isObject() && row.has("payload")) {
            row = row.get("payload");
        }
        if (!add(row, column, ids)) {
            throw new IllegalArgumentException("a tombstone of the feed tells no " + column);
        }
        return null;
    }

    private static String canal(KeyColumns keys, JsonNode message, Set<String> ids) {
        String table = message.path("table").asText();
        String column = keys.column(null, table);
        if (column == null) {
            return null;
        }
        String type = message.path("type").asText().toUpperCase(Locale.ROOT);
        if (type.equals("TRUNCATE") || type.equals("RENAME") || type.equals("ERASE")) {
            return table + " was truncated or replaced";
        }
        if (!type.matches("INSERT|UPDATE|DELETE|INIT")) {
            // a change to the table's form is none of its records
            if (message.path("isDdl").asBoolean(false) || type.matches("CREATE|ALTER|QUERY|CINDEX|DINDEX")) {
                return null;
            }
            throw new IllegalArgumentException("the feed's message is of a type that is not known: " + type);
        }
        boolean found = false;
        for (JsonNode row : message.path("data")) {
            found |= add(row, column, ids);
        }
        for (JsonNode row : message.path("old")) {
            add(row, column, ids);
        }
        if (!found) {
            throw new IllegalArgumentException("the feed's message tells no " + column + " of " + table);
        }
        return null;
    }

    private static boolean add(JsonNode row, String column, Set<String> ids) {
        JsonNode value = row.path(column);
        if (value.isMissingNode() || value instanceof NullNode || value.isContainerNode()) {
            return false;
        }
        ids.add(value.isNumber() ? value.decimalValue().toPlainString() : value.asText());
        return true;
    }
}
