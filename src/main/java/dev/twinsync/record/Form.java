package dev.twinsync.record;

import com.fasterxml.jackson.databind.JsonNode;

/** A normal form: puts one value into it, or says what is wrong with it. */
interface Form {

    /**
     * @param pointer JSON pointer of the value
     * @param partial whether members may be cleared by null (a push)
     * @return the normal form, null where there is none: an empty object, or a value with a problem
     */
    JsonNode apply(JsonNode value, String pointer, boolean partial, Problems problems);

    /** Takes what is wrong, and remembers whether anything was. */
    interface Problems {
        void add(String pointer, String message);
    }
}
