package dev.twinsync.record;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.DecimalNode;
import com.fasterxml.jackson.databind.node.IntNode;
import com.fasterxml.jackson.databind.node.LongNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import com.google.i18n.phonenumbers.NumberParseException;
import com.google.i18n.phonenumbers.PhoneNumberUtil;
import com.google.i18n.phonenumbers.PhoneNumberUtil.PhoneNumberFormat;
import com.google.i18n.phonenumbers.PhoneNumberUtil.PhoneNumberType;
import com.google.i18n.phonenumbers.Phonenumber.PhoneNumber;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.net.URI;
import java.net.URISyntaxException;
import java.text.Normalizer;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Currency;
import java.util.HashSet;
import java.util.IllformedLocaleException;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Pattern;

/** The normal forms that a schema file can name. */
final class Forms {

    private static final Pattern OFFSET = Pattern.compile(".*T.*(Z|z|[+-]\\d\\d:?\\d\\d)");
    private static final Instant EARLIEST = Instant.parse("0001-01-01T00:00:00Z");
    private static final Instant LATEST = Instant.parse("9999-12-31T23:59:59.999999Z");

    /** Prefixes by which Chinese callers reach an IP line: not part of a number. */
    private static final Pattern IP_CALL =
            Pattern.compile("^(?:1790\\d|1791\\d|1795\\d|1259[03]|1010\\d{2}|10193|11808|96531)(?=0?1[3-9]\\d{9}$)");

    private static final Set<String> CURRENCIES = currencies();

    private Forms() {}

    private static Set<String> currencies() {
        Set<String> codes = new HashSet<>();
        Currency.getAvailableCurrencies().forEach(currency -> codes.add(currency.getCurrencyCode()));
        return codes;
    }

    /** The text of a value, or null with a problem. */
    private static String string(JsonNode value, String pointer, int min, int max, Form.Problems problems) {
        if (!value.isTextual()) {
            problems.add(pointer, "write a string");
            return null;
        }
        String text = value.textValue();
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == 0) {
                problems.add(pointer, "U+0000 can't be stored: leave it out");
                return null;
            }
            if (Character.isHighSurrogate(c) && i + 1 < text.length() && Character.isLowSurrogate(text.charAt(i + 1))) {
                i++;
            } else if (Character.isSurrogate(c)) {
                problems.add(pointer, "a lone surrogate is no character: write the whole pair");
                return null;
            }
        }
        int length = text.codePointCount(0, text.length());
        if (length > max || length < min) {
            problems.add(pointer, length > max ? "at most " + max + " characters" : "at least " + min + " characters");
            return null;
        }
        return text;
    }

    static Form text(int min, int max) {
        return (value, pointer, partial, problems) -> string(value, pointer, min, max, problems) == null ? null : value;
    }

    static Form pattern(String regex, int max) {
        Pattern pattern = Pattern.compile(regex);
        return (value, pointer, partial, problems) -> {
            String text = string(value, pointer, 0, max, problems);
            if (text != null && !pattern.matcher(text).find()) {
                problems.add(pointer, "it has to match " + regex);
                return null;
            }
            return text == null ? null : value;
        };
    }

    static Form choice(List<String> choices) {
        return (value, pointer, partial, problems) -> {
            String text = string(value, pointer, 0, 256, problems);
            if (text != null && !choices.contains(text)) {
                problems.add(pointer, "write one of " + choices);
                return null;
            }
            return text == null ? null : value;
        };
    }

    static Form trimmed(int max) {
        return (value, pointer, partial, problems) -> {
            // what is too long only by the space around it is not too long
            String text = string(value, pointer, 0, Integer.MAX_VALUE, problems);
            if (text == null) {
                return null;
            }
            String normal = Normalizer.normalize(text, Normalizer.Form.NFC).strip();
            if (normal.codePointCount(0, normal.length()) > max) {
                problems.add(pointer, "at most " + max + " characters");
                return null;
            }
            return normal.equals(text) ? value : TextNode.valueOf(normal);
        };
    }

    static Form url(int max) {
        return (value, pointer, partial, problems) -> {
            String text = string(value, pointer, 0, max, problems);
            if (text == null) {
                return null;
            }
            try {
                URI uri = new URI(text.strip());
                boolean web = "http".equalsIgnoreCase(uri.getScheme()) || "https".equalsIgnoreCase(uri.getScheme());
                if (web && uri.getHost() != null) {
                    return TextNode.valueOf(text.strip());
                }
            } catch (URISyntaxException e) {
                // told below
            }
            problems.add(pointer, "write an absolute http or https URL");
            return null;
        };
    }

    static Form mobile(String region) {
        PhoneNumberUtil phones = PhoneNumberUtil.getInstance();
        return (value, pointer, partial, problems) -> {
            String text = string(value, pointer, 0, 64, problems);
            if (text == null) {
                return null;
            }
            String digits = text.replaceAll("[\\s()（）-]", "");
            String number = IP_CALL.matcher(digits).replaceFirst("");
            if (number.matches("01[3-9]\\d{9}")) {
                number = number.substring(1);
            }
            try {
                PhoneNumber phone = phones.parse(number, region);
                PhoneNumberType type = phones.getNumberType(phone);
                boolean mobile = type == PhoneNumberType.MOBILE || type == PhoneNumberType.FIXED_LINE_OR_MOBILE;
                if (mobile && phones.isValidNumber(phone) && !phone.hasExtension()) {
                    return TextNode.valueOf(phones.format(phone, PhoneNumberFormat.E164));
                }
            } catch (NumberParseException e) {
                // told below
            }
            problems.add(pointer, "write a valid mobile number, best in E.164 (+8613…)");
            return null;
        };
    }

    static Form language(int max) {
        return (value, pointer, partial, problems) -> {
            String text = string(value, pointer, 1, max, problems);
            if (text == null) {
                return null;
            }
            try {
                String tag = new Locale.Builder()
                        .setLanguageTag(text.strip().replace('_', '-'))
                        .build()
                        .toLanguageTag();
                if (!tag.equals("und")) {
                    return TextNode.valueOf(tag);
                }
            } catch (IllformedLocaleException e) {
                // told below
            }
            problems.add(pointer, "write a BCP 47 language tag, e.g. zh-CN");
            return null;
        };
    }

    static Form currency() {
        return (value, pointer, partial, problems) -> {
            String text = string(value, pointer, 0, 16, problems);
            if (text == null) {
                return null;
            }
            String code = text.strip().toUpperCase(Locale.ROOT);
            if (!CURRENCIES.contains(code)) {
                problems.add(pointer, "write an ISO 4217 code, e.g. CNY");
                return null;
            }
            return TextNode.valueOf(code);
        };
    }

    static Form code(Map<String, String> codes, int max) {
        return (value, pointer, partial, problems) -> {
            String text = string(value, pointer, 0, max, problems);
            return text == null ? null : TextNode.valueOf(codes.getOrDefault(text.strip(), text.strip()));
        };
    }

    static Form stage(StatusFlow flow) {
        return (value, pointer, partial, problems) -> {
            String text = string(value, pointer, 0, 256, problems);
            if (text == null) {
                return null;
            }
            String code = flow.labels().getOrDefault(text.strip(), text.strip());
            if (flow.rank(code) < 0) {
                problems.add(pointer, "write one of " + flow.ranks() + " or its label");
                return null;
            }
            return TextNode.valueOf(code);
        };
    }

    static Form time() {
        return (value, pointer, partial, problems) -> {
            String text = string(value, pointer, 0, 64, problems);
            if (text == null) {
                return null;
            }
            boolean normal = Times.shaped(text);
            if (!normal && !Times.plain(text) && !OFFSET.matcher(text).matches()) {
                problems.add(pointer, "write a time with its offset, e.g. 2026-01-31T08:00:00+08:00");
                return null;
            }
            try {
                Instant instant = Times.read(text);
                if (!instant.isBefore(EARLIEST) && !instant.isAfter(LATEST)) {
                    return normal ? value : TextNode.valueOf(Times.text(instant));
                }
            } catch (DateTimeException e) {
                // told below
            }
            problems.add(pointer, "write a time as in RFC 3339, e.g. 2026-01-31T08:00:00+08:00");
            return null;
        };
    }

    static Form bool() {
        return (value, pointer, partial, problems) -> {
            if (!value.isBoolean()) {
                problems.add(pointer, "write true or false");
                return null;
            }
            return value;
        };
    }

    static Form integer(BigDecimal min, BigDecimal max) {
        return (value, pointer, partial, problems) -> {
            BigDecimal number = number(value, pointer, min, max, problems);
            if (number == null) {
                return null;
            }
            if (number.stripTrailingZeros().scale() > 0) {
                problems.add(pointer, "write a whole number");
                return null;
            }
            if (number.abs().compareTo(BigDecimal.valueOf(Long.MAX_VALUE)) > 0) {
                problems.add(pointer, "at most " + Long.MAX_VALUE);
                return null;
            }
            long whole = number.longValueExact();
            return whole == (int) whole ? IntNode.valueOf((int) whole) : LongNode.valueOf(whole);
        };
    }

    static Form decimal(int decimals, BigDecimal min, BigDecimal max) {
        return (value, pointer, partial, problems) -> {
            BigDecimal number = number(value, pointer, min, max, problems);
            if (number == null) {
                return null;
            }
            if (number.signum() != 0 && number.stripTrailingZeros().scale() > decimals) {
                problems.add(pointer, "at most " + decimals + " decimals");
                return null;
            }
            return DecimalNode.valueOf(number.setScale(decimals, RoundingMode.UNNECESSARY));
        };
    }

    private static BigDecimal number(
            JsonNode value, String pointer, BigDecimal min, BigDecimal max, Form.Problems problems) {
        if (!value.isNumber()) {
            problems.add(pointer, "write a JSON number, not a string");
            return null;
        }
        if (value.isFloatingPointNumber() && !value.isBigDecimal() && !Double.isFinite(value.doubleValue())) {
            problems.add(pointer, "write a finite number");
            return null;
        }
        BigDecimal number = value.decimalValue();
        // the exponent is looked at before any arithmetic: 1e999999999 has few digits and a huge value
        if ((long) number.precision() - number.scale() > 40 || number.scale() > 200) {
            problems.add(pointer, max == null ? "beyond what can be stored" : "at most " + max.toPlainString());
            return null;
        }
        if (min != null && number.compareTo(min) < 0) {
            problems.add(pointer, "at least " + min.toPlainString());
            return null;
        }
        if (max != null && number.compareTo(max) > 0) {
            problems.add(pointer, "at most " + max.toPlainString());
            return null;
        }
        return number;
    }

    static Form array(Form item, int max, String sortedBy) {
        return (value, pointer, partial, problems) -> {
            if (!value.isArray()) {
                problems.add(pointer, "write an array");
                return null;
            }
            if (value.size() > max) {
                problems.add(pointer, "at most " + max + " items");
                return null;
            }
            List<JsonNode> items = new ArrayList<>(value.size());
            Counting counting = new Counting(problems);
            for (int i = 0; i < value.size(); i++) {
                JsonNode normal = item.apply(value.get(i), pointer + "/" + i, false, counting);
                if (normal != null) {
                    items.add(normal);
                }
            }
            if (counting.count > 0) {
                return null;
            }
            if (sortedBy != null) {
                Set<JsonNode> seen = new HashSet<>();
                for (int i = 0; i < items.size(); i++) {
                    if (!seen.add(items.get(i).path(sortedBy))) {
                        problems.add(pointer + "/" + i + "/" + sortedBy, "each " + sortedBy + " once");
                        return null;
                    }
                }
                items.sort(Comparator.comparing(node -> node.path(sortedBy).decimalValue()));
            }
            ArrayNode array = Json.MAPPER.createArrayNode();
            array.addAll(items);
            return array;
        };
    }

    static Form object(Map<String, Form> members, Form others, Set<String> required) {
        return (value, pointer, partial, problems) -> {
            if (!value.isObject()) {
                problems.add(pointer, "write an object");
                return null;
            }
            Counting counting = new Counting(problems);
            // members in one order, so that two spellings of the same object are one
            Map<String, JsonNode> normal = new TreeMap<>();
            value.properties().forEach(member -> {
                String at = pointer + "/" + member.getKey().replace("~", "~0").replace("/", "~1");
                Form form = members.getOrDefault(member.getKey(), others);
                if (form == null) {
                    counting.add(at, "no such member; known are " + members.keySet());
                } else if (member.getValue().isNull()) {
                    if (partial) {
                        normal.put(member.getKey(), member.getValue());
                    }
                } else {
                    if (!members.containsKey(member.getKey())
                            && string(TextNode.valueOf(member.getKey()), at, 1, 64, counting) == null) {
                        return;
                    }
                    JsonNode form1 = form.apply(member.getValue(), at, partial, counting);
                    if (form1 != null) {
                        normal.put(member.getKey(), form1);
                    }
                }
            });
            for (String name : required) {
                if (!normal.containsKey(name) && counting.count == 0) {
                    counting.add(pointer + "/" + name, "it is needed here");
                }
            }
            if (counting.count > 0) {
                return null;
            }
            ObjectNode object = Json.MAPPER.createObjectNode();
            normal.forEach(object::set);
            return object.isEmpty() ? null : object;
        };
    }

    private static final class Counting implements Form.Problems {
        private final Form.Problems problems;
        private int count;

        Counting(Form.Problems problems) {
            this.problems = problems;
        }

        @Override
        public void add(String pointer, String message) {
            count++;
            problems.add(pointer, message);
        }
    }
}
