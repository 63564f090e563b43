package dev.twinsync.api;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import java.security.Principal;
import java.util.Map;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

/** What is known of a record, and why it is what it is. */
@RestController
class RecordController {

    private final KnownRecords known;
    private final RecordActs acts;

    RecordController(KnownRecords known, RecordActs acts) {
        this.known = known;
        this.acts = acts;
    }

    @GetMapping("/{plural:[a-z_]+}/{id}")
    ObjectNode record(@PathVariable String plural, @PathVariable String id, Principal caller) {
        Schema schema = known.schema(plural);
        return known.record(schema, id, schema.systems().contains(caller.getName()));
    }

    /** What each system holds at this moment, read for this answer; nothing is merged. */
    @GetMapping("/{plural:[a-z_]+}/{id}/live")
    ObjectNode live(@PathVariable String plural, @PathVariable String id) {
        Schema schema = known.schema(plural);
        return known.live(schema, id, acts.look(schema, id));
    }

    /** Reads the record at every system again; what they hold is merged like anything else that is observed. */
    @PostMapping("/{plural:[a-z_]+}/{id}/read")
    ResponseEntity<Map<String, String>> read(@PathVariable String plural, @PathVariable String id, Principal caller) {
        acts.readAgain(known.schema(plural), id, caller.getName());
        return ResponseEntity.accepted().body(Map.of("state", "read"));
    }

    /** The record with personal values, in this one answer: {@code {reason}}. */
    @PostMapping("/{plural:[a-z_]+}/{id}/reveal")
    ObjectNode reveal(
            @PathVariable String plural,
            @PathVariable String id,
            @RequestBody(required = false) byte[] body,
            Principal caller) {
        Schema schema = known.schema(plural);
        return acts.reveal(
                schema, id, Bodies.reason(Bodies.object(body)), caller.getName(), () -> known.record(schema, id, true));
    }

    @GetMapping("/{plural:[a-z_]+}/{id}/timeline")
    ObjectNode timeline(
            @PathVariable String plural,
            @PathVariable String id,
            @RequestParam(defaultValue = "") String after,
            @RequestParam(defaultValue = "50") int limit) {
        return known.timeline(known.schema(plural), id, after, limit, false);
    }

    @GetMapping("/conflicts")
    ObjectNode conflicts(
            @RequestParam(required = false) String entity,
            @RequestParam(required = false) String id,
            @RequestParam(required = false) String state,
            @RequestParam(required = false) Long after,
            @RequestParam(defaultValue = "50") int limit) {
        return known.conflicts(entity, id, state, after, limit, false);
    }

    /** @param body {@code {reason}}, or nothing */
    @PostMapping("/conflicts/{conflict:\\d+}/restore")
    ObjectNode restore(@PathVariable long conflict, @RequestBody(required = false) byte[] body, Principal caller) {
        known.restore(conflict, caller.getName(), Bodies.optionalReason(body));
        return Json.MAPPER.createObjectNode().put("state", "restored");
    }

    /**
     * Lets through a mass deletion that the key sweep holds back.
     *
     * @param body {@code {reason}}, or nothing
     */
    @PostMapping("/sweeps/{system}/{plural}/release")
    ObjectNode release(
            @PathVariable String system,
            @PathVariable String plural,
            @RequestBody(required = false) byte[] body,
            Principal caller) {
        acts.release(known.schema(plural), system, caller.getName(), Bodies.optionalReason(body));
        return Json.MAPPER.createObjectNode().put("state", "released");
    }
}
