package dev.twinsync.record;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.TextNode;
import java.util.regex.Pattern;

/** Hides personal values from whoever has not asked for them. */
public final class Masking {

    private static final Pattern PHONE = Pattern.compile("(?<![\\d.])\\+?(?:86)?1[3-9]\\d{9}(?!\\d)");

    private Masking() {}

    /** The value as it may be shown: a phone keeps its first six and last four characters, other texts much less. */
    public static JsonNode mask(Field field, JsonNode value) {
        if (field == null || !field.personal() || value == null || value.isNull()) {
            return value;
        }
        return TextNode.valueOf(value.isTextual() ? mask(value.asText()) : "****");
    }

    public static String mask(String text) {
        if (text.matches("\\+?\\d{11,15}")) {
            return text.substring(0, text.length() - 8) + "****" + text.substring(text.length() - 4);
        }
        return text.length() < 8 ? "****" : text.substring(0, 2) + "****" + text.substring(text.length() - 2);
    }

    /** Text that somebody else wrote, such as an error, with the phone numbers in it hidden. */
    public static String inText(String text) {
        return text == null ? null : PHONE.matcher(text).replaceAll(found -> mask(found.group()));
    }
}
