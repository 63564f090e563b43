package dev.twinsync.record;

import com.fasterxml.jackson.databind.JsonNode;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeMap;

/** Canonical JSON (RFC 8785) and the digests over it: two parties that hold the same record give the same text. */
public final class Canonical {

    private static final HexFormat HEX = HexFormat.of();

    private Canonical() {}

    /** SHA-256, lower-case hex, over the canonical JSON of {@code {id, deleted, data}}. */
    public static String digest(String id, boolean deleted, JsonNode data) {
        StringBuilder text = new StringBuilder(512).append("{\"data\":");
        write(data, text);
        text.append(",\"deleted\":").append(deleted).append(",\"id\":");
        string(id, text);
        return sha256(text.append('}').toString());
    }

    /** SHA-256, lower-case hex, of the text's UTF-8. */
    public static String sha256(String text) {
        try {
            return HEX.formatHex(MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8)));
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }

    /** The canonical text of a value. */
    public static String text(JsonNode value) {
        StringBuilder text = new StringBuilder();
        write(value, text);
        return text.toString();
    }

    private static void write(JsonNode node, StringBuilder out) {
        if (node.isObject()) {
            // members by the UTF-16 of their names, as String compares
            Map<String, JsonNode> members = new TreeMap<>();
            node.properties().forEach(member -> members.put(member.getKey(), member.getValue()));
            char separator = '{';
            for (Map.Entry<String, JsonNode> member : members.entrySet()) {
                string(member.getKey(), out.append(separator));
                write(member.getValue(), out.append(':'));
                separator = ',';
            }
            out.append(members.isEmpty() ? "{}" : "}");
        } else if (node.isArray()) {
            char separator = '[';
            for (JsonNode item : node) {
                write(item, out.append(separator));
                separator = ',';
            }
            out.append(node.isEmpty() ? "[]" : "]");
        } else if (node.isNumber()) {
            number(node.decimalValue(), out);
        } else if (node.isTextual()) {
            string(node.textValue(), out);
        } else {
            out.append(node.asText());
        }
    }

    /** As ECMAScript writes the nearest double. */
    private static void number(BigDecimal exact, StringBuilder out) {
        BigDecimal value = exact.stripTrailingZeros();
        if (value.signum() == 0) {
            out.append('0');
            return;
        }
        if (value.precision() > 15) {
            // beyond 15 digits the double is another number than the text
            value = new BigDecimal(Double.toString(exact.doubleValue())).stripTrailingZeros();
        }
        String digits = value.unscaledValue().abs().toString();
        int point = digits.length() - value.scale();
        if (value.signum() < 0) {
            out.append('-');
        }
        if (point > 0 && point <= 21 || point <= 0 && point > -6) {
            out.append(value.abs().toPlainString());
            return;
        }
        out.append(digits.charAt(0));
        if (digits.length() > 1) {
            out.append('.').append(digits, 1, digits.length());
        }
        out.append(point > 0 ? "e+" : "e-").append(Math.abs(point - 1));
    }

    private static void string(String text, StringBuilder out) {
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            switch (c) {
                case '"' -> out.append("\\\"");
                case '\\' -> out.append("\\\\");
                case '\b' -> out.append("\\b");
                case '\f' -> out.append("\\f");
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                case '\t' -> out.append("\\t");
                default -> {
                    if (c < 0x20) {
                        out.append(String.format("\\u%04x", (int) c));
                    } else {
                        out.append(c);
                    }
                }
            }
        }
        out.append('"');
    }
}
