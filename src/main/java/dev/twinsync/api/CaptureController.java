package dev.twinsync.api;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.capture.CaptureSchemes;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import java.security.Principal;
import java.util.List;
import java.util.NoSuchElementException;
import org.springframework.http.HttpStatus;
import org.springframework.web.bind.annotation.DeleteMapping;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

/** By which scheme a system's changes are learned, and the switch to another. */
@RestController
@RequestMapping("/capture/{system}")
class CaptureController {

    private final CaptureSchemes schemes;

    CaptureController(CaptureSchemes schemes) {
        this.schemes = schemes;
    }

    @GetMapping
    ObjectNode scheme(@PathVariable String system) {
        CaptureSchemes.Scheme scheme = schemes.of(known(system));
        ObjectNode answer = Json.MAPPER.createObjectNode();
        answer.put("system", system);
        answer.put("scheme", scheme.scheme());
        answer.put("running", scheme.running());
        answer.put("decided_by", scheme.stored() ? "switch" : "environment");
        answer.put("environment", scheme.configured());
        answer.put("set_by", scheme.setBy());
        answer.put("set_at", scheme.setAt() == null ? null : scheme.setAt().toString());
        schemes.choices(system).forEach(answer.putArray("choices")::add);
        return answer;
    }

    @PostMapping
    ObjectNode set(@PathVariable String system, @RequestBody byte[] body, Principal caller) {
        known(system);
        ObjectNode given = Bodies.object(body);
        JsonNode scheme = given.path("scheme");
        if (!scheme.isTextual() || !schemes.choices(system).contains(scheme.asText())) {
            throw new Problem(
                    HttpStatus.UNPROCESSABLE_ENTITY,
                    "scheme can't be used",
                    List.of(new Schema.Problem(
                            "/scheme", "scheme", "one of " + schemes.choices(system) + " is needed")));
        }
        try {
            schemes.set(system, scheme.asText(), caller.getName(), Bodies.reason(given));
        } catch (CaptureSchemes.Refused e) {
            throw new Problem(HttpStatus.CONFLICT, e.getMessage());
        }
        return scheme(system);
    }

    /** Forgets the switch: the environment decides again. */
    @DeleteMapping
    ObjectNode forget(@PathVariable String system, @RequestParam(required = false) String reason, Principal caller) {
        schemes.forget(known(system), caller.getName(), reason);
        return scheme(system);
    }

    private String known(String system) {
        if (!schemes.systems().contains(system)) {
            throw new NoSuchElementException("there is no system " + system);
        }
        return system;
    }
}
