package dev.twinsync.proof;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.record.Json;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** Makes of what is right something that may not be, by a seed. */
final class Nonsense {

    /** What may stand where something else should, as JSON. */
    private static final List<String> VALUES = List.of(
            "null",
            "true",
            "0",
            "-1",
            "1e400",
            "1e-999999999",
            "0.1",
            "99999999999999999999",
            "\"\"",
            "\" \"",
            "\"\\u0000\"",
            "\"\\ud800\"",
            "\"\\udc00\\ud800\"",
            "\"𠮷👨‍👩‍👧\"",
            "\"‮abc\"",
            "\"a\\r\\nb\"",
            "\"'; drop table users; --\"",
            "\"${7*7}{{a}}#{b}%s:?c\"",
            "\"../../etc/passwd\"",
            "\"..\"",
            "\"%2e%2e\"",
            "\"a?b=c#d;e\"",
            "\"2026-01-31T08:00:00Z\"",
            "\"+999999999-12-31T23:59:59Z\"",
            "\"-999999999-01-01T00:00:00Z\"",
            "\"9999-12-31T23:59:59.999999999+18:00\"",
            "\"13800138000\"",
            "[]",
            "[[]]",
            "[null]",
            "{}",
            "{\"a\":{}}",
            "{\"\":null}",
            "{\"a.b\":true}",
            "[1,\"a\",{}]");

    /** Ids that paths, queries and statements might take for something else. */
    static final List<String> IDS = List.of(
            ".", "..", "...", "%2e%2e", "%", "%00", "a?b=c", "a#b", "a;b=c", "a\\b", "a b", "a+b", "'", "\"", "{}",
            "${a}", "𠮷", "é", ":?ids", "*", "batch", "null");

    private static final String MARK = "§§";

    private final Random random;

    Nonsense(Random random) {
        this.random = random;
    }

    /** The text with a value, a member or some bytes of it changed. */
    byte[] of(String json) {
        if (random.nextInt(4) == 0) {
            return bytes(json.getBytes(StandardCharsets.UTF_8));
        }
        JsonNode tree = Json.read(json);
        int changes = 1 + random.nextInt(2);
        for (int i = 0; i < changes; i++) {
            tree = changed(tree);
        }
        return unmarked(Json.bytes(tree));
    }

    private byte[] bytes(byte[] text) {
        byte[] bytes = text.clone();
        switch (random.nextInt(5)) {
            case 0 -> {
                return java.util.Arrays.copyOf(bytes, random.nextInt(bytes.length));
            }
            case 1 -> {
                for (int i = 0; i < 1 + random.nextInt(4); i++) {
                    bytes[random.nextInt(bytes.length)] = (byte) random.nextInt(256);
                }
            }
            case 2 -> {
                byte[] twice = java.util.Arrays.copyOf(bytes, bytes.length * 2);
                System.arraycopy(bytes, 0, twice, bytes.length, bytes.length);
                return twice;
            }
            case 3 -> random.nextBytes(bytes);
            default -> {
                return new byte[random.nextInt(64)];
            }
        }
        return bytes;
    }

    /** Where a value is put that Jackson would not write, a mark stands until the text is made. */
    private JsonNode changed(JsonNode tree) {
        List<JsonNode> containers = new ArrayList<>();
        gather(tree, containers);
        if (containers.isEmpty() || random.nextInt(20) == 0) {
            return value();
        }
        JsonNode at = containers.get(random.nextInt(containers.size()));
        if (at instanceof ObjectNode object) {
            List<String> names = new ArrayList<>();
            object.fieldNames().forEachRemaining(names::add);
            int what = random.nextInt(6);
            if (names.isEmpty() || what == 0) {
                object.set("x" + random.nextInt(10), value());
            } else if (what == 1) {
                object.remove(names.get(random.nextInt(names.size())));
            } else {
                object.set(names.get(random.nextInt(names.size())), value());
            }
        } else if (at instanceof ArrayNode array) {
            if (array.isEmpty() || random.nextBoolean()) {
                array.add(value());
            } else {
                array.set(random.nextInt(array.size()), value());
            }
        }
        return tree;
    }

    private static void gather(JsonNode node, List<JsonNode> containers) {
        if (node.isContainerNode()) {
            containers.add(node);
            node.forEach(child -> gather(child, containers));
        }
    }

    private JsonNode value() {
        return Json.MAPPER.getNodeFactory().textNode(MARK + random.nextInt(VALUES.size()) + MARK);
    }

    /** Puts the values where their marks stand. */
    private static byte[] unmarked(byte[] json) {
        String text = new String(json, StandardCharsets.UTF_8);
        for (int i = VALUES.size() - 1; i >= 0; i--) {
            text = text.replace('"' + MARK + i + MARK + '"', VALUES.get(i));
        }
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
