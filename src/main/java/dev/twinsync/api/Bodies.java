package dev.twinsync.api;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import java.security.Principal;
import java.util.List;
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

    static Problem invalid(String member, String message) {
        return new Problem(
                HttpStatus.UNPROCESSABLE_ENTITY,
                member + ": " + message,
                List.of(new Schema.Problem('/' + member, member, message)));
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
