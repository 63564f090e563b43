package dev.twinsync.api;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.deadletter.LetterFilter;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import java.security.Principal;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.StringJoiner;
import java.util.TreeSet;
import org.springframework.http.HttpStatus;

/** What the calls of the desk have in common: small JSON objects, and errors that name the member. */
final class Bodies {

    private Bodies() {}

    /** The body as an object; none is an empty one. */
    static ObjectNode object(byte[] body) {
        if (body == null || body.length == 0) {
            return Json.MAPPER.createObjectNode();
        }
        try {
            if (Json.read(body) instanceof ObjectNode object) {
                return object;
            }
        } catch (IllegalArgumentException e) {
            // told below
        }
        throw new Problem(HttpStatus.BAD_REQUEST, "write a JSON object");
    }

    /** The body as an object that has no other members than these. */
    static ObjectNode object(byte[] body, Set<String> members) {
        ObjectNode given = object(body);
        given.fieldNames().forEachRemaining(name -> {
            if (!members.contains(name)) {
                throw invalid(name, "there is no such member; write " + String.join(", ", new TreeSet<>(members)));
            }
        });
        return given;
    }

    /**
     * Why something is done, where it must be said.
     *
     * @throws Problem where it is not
     */
    static String reason(ObjectNode body) {
        String reason = body.path("reason").asText("");
        if (reason.isBlank() || reason.length() > 1000) {
            throw invalid("reason", "say why, in at most 1000 characters");
        }
        return reason;
    }

    /** Why something is done, where it may be said, and nothing else may; null where it is not. */
    static String optionalReason(byte[] body) {
        return optionalReason(object(body, Set.of("reason")));
    }

    static String optionalReason(ObjectNode given) {
        if (!given.hasNonNull("reason")) {
            return null;
        }
        if (!given.path("reason").isTextual()) {
            throw invalid("reason", "a text is needed");
        }
        return given.path("reason").asText().isBlank() ? null : reason(given);
    }

    /** A member that is true or false, or left out for false. */
    static boolean flag(ObjectNode body, String member) {
        JsonNode flag = body.path(member);
        if (!flag.isMissingNode() && !flag.isNull() && !flag.isBoolean()) {
            throw invalid(member, "write true or false");
        }
        return flag.asBoolean(false);
    }

    static Problem invalid(String member, String message) {
        return new Problem(
                HttpStatus.UNPROCESSABLE_ENTITY,
                member + ": " + message,
                List.of(new Schema.Problem('/' + member, member, message)));
    }

    /** The filter of a call, as in the list of letters; {@code {}} means every letter that can be acted on. */
    static LetterFilter filter(JsonNode filter) {
        if (!(filter instanceof ObjectNode object)) {
            throw invalid("filter", "write an object with filters as in the list, {} for all");
        }
        Map<String, String> given = new HashMap<>();
        object.properties().forEach(one -> {
            if (one.getValue().isArray()) {
                StringJoiner list = new StringJoiner(",");
                one.getValue().forEach(item -> list.add(item.asText()));
                given.put(one.getKey(), list.toString());
            } else if (!one.getValue().isNull()) {
                given.put(one.getKey(), one.getValue().asText());
            }
        });
        try {
            return LetterFilter.of(given);
        } catch (LetterFilter.Invalid e) {
            throw new Problem(
                    HttpStatus.UNPROCESSABLE_ENTITY,
                    e.getMessage(),
                    List.of(new Schema.Problem("/filter/" + e.name(), e.name(), e.getMessage())));
        }
    }

    /** The same key of two callers is two calls. */
    static String callKey(Principal caller, String key) {
        if (key == null || key.isBlank()) {
            return null;
        }
        if (key.length() > 200) {
            throw new Problem(HttpStatus.BAD_REQUEST, "Idempotency-Key: at most 200 characters");
        }
        return caller.getName() + '/' + key.replace('\0', ' ');
    }
}
