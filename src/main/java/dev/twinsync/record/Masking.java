package dev.twinsync.record;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.TextNode;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Hides personal values from whoever has not asked for them. */
public final class Masking {

    /** A number in the midst of a long hexadecimal one is part of an id. */
    private static final Pattern PHONE =
            Pattern.compile("(?<![\\d.])(?<![0-9a-f]{8})(?:(?:\\+|00)?86[- ]?)?1[3-9]\\d[- ]?\\d{4}[- ]?"
                    + "\\d{4}(?!\\d)(?![0-9a-f]{8})|\\+\\d{8,15}(?!\\d)");

    private static final Pattern CREDENTIAL = Pattern.compile(
            "(?i)\\b(bearer|basic)\\s+[\\w.~+/=-]{6,}|\\bwhsec_[\\w+/=-]+|\\b(access_token|api_?key|secret|password|token)([\"']?\\s*[:=]\\s*[\"']?)[^\\s\"',;&}]+");

    private static final Pattern UNSEEN =
            Pattern.compile("[\\p{Cntrl}\\u0080-\\u009F\\u202A-\\u202E\\u2066-\\u2069&&[^\\n\\t]]");

    private Masking() {}

    /** Text without characters that steer a terminal or turn the direction of what stands around them. */
    public static String visible(String text) {
        return UNSEEN.matcher(text).replaceAll("\uFFFD");
    }

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

    /** Text that somebody wrote, such as an error or a reason, with the phone numbers and credentials in it hidden. */
    public static String inText(String text) {
        if (text == null) {
            return null;
        }
        String masked =
                PHONE.matcher(text).replaceAll(found -> mask(found.group().replaceAll("[- ]", "")));
        return CREDENTIAL.matcher(masked).replaceAll(found -> {
            String scheme = found.group(1) != null ? found.group(1) + ' ' : "";
            String name = found.group(2) != null ? found.group(2) + found.group(3) : "";
            return Matcher.quoteReplacement(scheme + name + "****");
        });
    }
}
