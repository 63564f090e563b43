package dev.twinsync.delivery;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.merge.Base;
import dev.twinsync.record.Schema;
import java.util.List;
import java.util.Map;

/** Writes a set of records to one kind of system. */
interface Target {

    /**
     * Writes the set.
     *
     * @param since the tick before an earlier try of the same set, whose answers may be given once more: they tell what was
     *     so at some time since then; null for the first try
     * @return what became of each, in order
     * @throws RuntimeException where the set as a whole got no answer
     */
    List<Result> write(String system, Schema schema, List<Item> items, Long since);

    /** How many records one call takes. */
    int setSize();

    /**
     * @param base as it was read, before the intent
     * @param values the due paths and their values
     * @param data the whole fields to set, null clears; for a record that is to be made, all of it
     * @param key idempotency key
     */
    record Item(String id, Base base, Map<String, JsonNode> values, ObjectNode data, String key, long version) {
        boolean makes() {
            return !base.exists();
        }
    }

    /** What became of one record. */
    sealed interface Result {

        /** @param base what the system holds now */
        record Written(Base base) implements Result {}

        /** The record there is not what the base says: it was read, or is to be read, and nothing was written. */
        record Differs(boolean read) implements Result {}

        /** Refused for good. */
        record Refused(Throwable cause) implements Result {}

        /** Not now: this one only. */
        record Failed(Throwable cause) implements Result {}
    }
}
