package dev.twinsync.record;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.StreamWriteFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.cfg.JsonNodeFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.math.BigDecimal;
import java.util.Map;

/** JSON as Twinsync reads and writes it: exact decimals, no duplicate keys, bounded depth. */
public final class Json {

    /** The one mapper: money keeps its digits and its scale from end to end. */
    public static final ObjectMapper MAPPER = JsonMapper.builder(JsonFactory.builder()
                    .streamReadConstraints(StreamReadConstraints.builder()
                            .maxNestingDepth(32)
                            .maxNumberLength(100)
                            .maxNameLength(256)
                            .maxStringLength(4 * 1024 * 1024)
                            .build())
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                    .enable(StreamWriteFeature.WRITE_BIGDECIMAL_AS_PLAIN)
                    .disable(StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION)
                    .build())
            .enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .disable(JsonNodeFeature.STRIP_TRAILING_BIGDECIMAL_ZEROES)
            .build();

    /** Reads what a system wrote without our bounds; what is beyond them is taken out of it. */
    private static final ObjectMapper UNBOUNDED = JsonMapper.builder(JsonFactory.builder()
                    .streamReadConstraints(StreamReadConstraints.builder()
                            .maxNestingDepth(2000)
                            .maxNumberLength(100_000)
                            .maxNameLength(1_000_000)
                            .maxStringLength(Integer.MAX_VALUE)
                            .build())
                    .disable(StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION)
                    .build())
            .enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .disable(JsonNodeFeature.STRIP_TRAILING_BIGDECIMAL_ZEROES)
            .build();

    /** Of what we wrote ourselves, no key is there twice: to look for one costs as much as the rest. */
    private static final ObjectReader STORED =
            MAPPER.readerFor(JsonNode.class).without(StreamReadFeature.STRICT_DUPLICATE_DETECTION);

    private static final int LONGEST_TEXT = 1024 * 1024;
    private static final int DEEPEST = 24;

    private Json() {}

    /**
     * Reads what a system holds. A value beyond our bounds is replaced by one that no field can use, so that it makes
     * its own field unusable and no other.
     *
     * @throws IllegalArgumentException where the bytes are not one JSON value
     */
    public static JsonNode tolerant(byte[] bytes) {
        try {
            return bounded(read(bytes), 0);
        } catch (IllegalArgumentException e) {
            try {
                return bounded(UNBOUNDED.readTree(bytes), 0);
            } catch (IOException unreadable) {
                throw e;
            }
        }
    }

    /** What stands for a value that is too large to be carried: no field has such a form. */
    public static JsonNode unusable() {
        return MAPPER.createArrayNode().add(MAPPER.createArrayNode());
    }

    private static JsonNode bounded(JsonNode node, int depth) {
        if (node.isTextual() && node.textValue().length() > LONGEST_TEXT
                || node.isNumber() && isLong(node)
                || node.isContainerNode() && depth > DEEPEST) {
            return unusable();
        }
        if (node instanceof ObjectNode object) {
            for (Map.Entry<String, JsonNode> member : object.properties()) {
                if (member.getKey().length() > 256) {
                    return unusable();
                }
                member.setValue(bounded(member.getValue(), depth + 1));
            }
        } else if (node instanceof ArrayNode array) {
            for (int i = 0; i < array.size(); i++) {
                array.set(i, bounded(array.get(i), depth + 1));
            }
        }
        return node;
    }

    /** Whether a number has more digits, written out, than we read: 1e999999999 has ten characters and a huge text. */
    private static boolean isLong(JsonNode number) {
        if (!number.isBigDecimal()) {
            return number.isBigInteger() && number.bigIntegerValue().bitLength() > 300;
        }
        BigDecimal value = number.decimalValue();
        return value.scale() > 90 || (long) value.precision() - value.scale() > 90;
    }

    /** Reads what we wrote ourselves, or PostgreSQL did: where a key is there twice all the same, the last one counts. */
    public static JsonNode stored(byte[] bytes) {
        try {
            return STORED.readValue(bytes);
        } catch (IOException e) {
            throw new IllegalArgumentException("not JSON: " + e.getMessage(), e);
        }
    }

    /** @throws IllegalArgumentException where the text is not one JSON value */
    public static JsonNode read(String text) {
        try {
            return MAPPER.readTree(text);
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException("not JSON: " + e.getOriginalMessage(), e);
        }
    }

    /** @throws IllegalArgumentException where the bytes are not one JSON value */
    public static JsonNode read(byte[] bytes) {
        try {
            return MAPPER.readTree(bytes);
        } catch (IOException e) {
            throw new IllegalArgumentException("not JSON: " + e.getMessage(), e);
        }
    }

    public static byte[] bytes(Object value) {
        try {
            return MAPPER.writeValueAsBytes(value);
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException(e);
        }
    }

    public static String text(Object value) {
        try {
            return MAPPER.writeValueAsString(value);
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException(e);
        }
    }
}
