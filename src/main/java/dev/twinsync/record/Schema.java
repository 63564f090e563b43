package dev.twinsync.record;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * An entity as its {@code <entity>.schema.yaml} declares it: fields, bounds, normal forms, rules and systems.
 *
 * <p>Values travel inside Twinsync as maps from <em>path</em> to value. A path is a field's name, or {@code field.key}
 * for an object that is settled key by key. An absent path means null.
 */
public interface Schema {

    /** The singular: {@code user}. Topics are {@code user.observed}, {@code user.changed}. */
    String entity();

    /** The folder's word: {@code users}; flows are named {@code read-app-users}. */
    String plural();

    /** The field that holds the canonical id: {@code user_id}. */
    String key();

    /** All systems, the one that wins ties first. */
    List<String> systems();

    List<Field> fields();

    /** The field of a path, or null where the schema has none. */
    Field field(String path);

    /** Paths whose values a system can't be without. */
    Set<String> requiredAt(String system);

    /**
     * Normalises what a system stated. The key field, if present, is checked against nothing and left out.
     *
     * @param data canonical names, values as the system has them
     * @param whole true for a reading (absent means null, nulls are dropped); false for a push (absent means not
     *     stated, and a {@link com.fasterxml.jackson.databind.node.NullNode} means cleared)
     */
    Normalised normalise(ObjectNode data, boolean whole);

    /** Builds the nested object, without the key, from paths; objects by key are always present. */
    ObjectNode assemble(Map<String, JsonNode> values);

    /** The value of one whole field as it is sent: an object by key is assembled, null is a NullNode. */
    JsonNode value(String field, Map<String, JsonNode> values);

    /** Why an id can't be one, or null. */
    String refuseId(String id);

    /**
     * @param values usable paths
     * @param problems what could not be used
     */
    record Normalised(Map<String, JsonNode> values, List<Problem> problems) {}

    /**
     * @param pointer JSON pointer into data, {@code /items/0/quantity}
     * @param field the field that carries the problem
     * @param message what is wrong and what to write instead, without the value
     */
    record Problem(String pointer, String field, String message) {}
}
