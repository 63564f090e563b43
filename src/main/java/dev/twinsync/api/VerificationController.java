package dev.twinsync.api;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import dev.twinsync.verification.Verifications;
import java.security.Principal;
import java.sql.Timestamp;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.springframework.http.HttpStatus;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

/** Verifications: whether both ends are equal, what is not, and what is done about it. */
@RestController
@RequestMapping("/verifications")
class VerificationController {

    private static final int MOST = 200;
    private static final int MOST_IDS = 10_000;
    private static final Set<String> MEMBERS = Set.of("entity", "ids", "repair", "reason", "self_test");

    private final Verifications verifications;
    private final Schemas schemas;

    VerificationController(Verifications verifications, Schemas schemas) {
        this.verifications = verifications;
        this.schemas = schemas;
    }

    @PostMapping
    ResponseEntity<Map<String, Long>> begin(@RequestBody(required = false) byte[] body, Principal caller) {
        ObjectNode asked = Bodies.object(body, MEMBERS);
        String entity = asked.path("entity").asText("");
        if (!schemas.has(entity)) {
            throw Bodies.invalid(
                    "entity",
                    "write one of " + schemas.all().stream().map(Schema::entity).toList());
        }
        String repair = asked.path("repair").asText("none");
        if (!List.of("none", "plan", "apply").contains(repair)) {
            throw Bodies.invalid("repair", "write none, plan or apply");
        }
        if (Bodies.flag(asked, "self_test")) {
            if (asked.has("ids") || asked.has("repair")) {
                throw Bodies.invalid(
                        "self_test", "leave out ids and repair: a self-test compares everything and mends nothing");
            }
            repair = "self_test";
        }
        Set<String> ids = null;
        if (asked.hasNonNull("ids")) {
            ids = ids(schemas.of(entity), asked.path("ids"));
        }
        long run = verifications.begin(entity, ids, repair, caller.getName(), Bodies.optionalReason(asked));
        return ResponseEntity.status(HttpStatus.ACCEPTED).body(Map.of("run", run));
    }

    private static Set<String> ids(Schema schema, JsonNode asked) {
        Set<String> ids = new LinkedHashSet<>();
        if (!asked.isArray() || asked.isEmpty() || asked.size() > MOST_IDS) {
            throw Bodies.invalid("ids", "write an array of 1 to " + MOST_IDS + " ids, or leave it out for all records");
        }
        for (JsonNode id : asked) {
            String why = id.isTextual() ? schema.refuseId(id.asText()) : "a text is needed";
            if (why != null) {
                throw Bodies.invalid("ids/" + ids.size(), why);
            }
            ids.add(id.asText());
        }
        return ids;
    }

    @GetMapping
    ObjectNode list(
            @RequestParam(defaultValue = "" + Long.MAX_VALUE) long after,
            @RequestParam(defaultValue = "50") int limit,
            @RequestParam(required = false) String entity) {
        int most = Math.max(1, Math.min(MOST, limit));
        Problem.oneOf(
                "entity", entity, schemas.all().stream().map(Schema::entity).toList());
        List<Map<String, Object>> rows = verifications.list(after, most, entity);
        ObjectNode answer = Json.MAPPER.createObjectNode();
        ArrayNode items = answer.putArray("items");
        rows.forEach(row -> items.add(run(row)));
        answer.put(
                "next",
                rows.size() < most ? null : (Long) rows.get(rows.size() - 1).get("run"));
        return answer;
    }

    @GetMapping("/{run:\\d+}")
    ObjectNode get(@PathVariable long run) {
        return run(verifications.get(run));
    }

    @GetMapping("/{run:\\d+}/differences")
    ObjectNode differences(
            @PathVariable long run,
            @RequestParam(defaultValue = "0") long after,
            @RequestParam(defaultValue = "50") int limit,
            @RequestParam(required = false) String kind,
            @RequestParam(required = false) String state) {
        int most = Math.max(1, Math.min(MOST, limit));
        Problem.oneOf("kind", kind, Verifications.KINDS);
        Problem.oneOf("state", state, Verifications.STATES);
        List<Map<String, Object>> rows = verifications.differences(run, after, most, kind, state);
        ObjectNode answer = Json.MAPPER.createObjectNode();
        ArrayNode items = answer.putArray("items");
        for (Map<String, Object> row : rows) {
            ObjectNode item = items.addObject();
            item.put("difference", (Long) row.get("id"));
            item.put("kind", (String) row.get("kind"));
            item.put("id", (String) row.get("record_id"));
            item.put("system", (String) row.get("system"));
            item.set("fields", (JsonNode) row.get("fields"));
            item.set("changed", (JsonNode) row.get("changed"));
            item.put("decision", (String) row.get("decision"));
            item.put("state", (String) row.get("state"));
            item.put("at", time(row.get("at")));
        }
        answer.put(
                "next",
                rows.size() < most ? null : (Long) rows.get(rows.size() - 1).get("id"));
        return answer;
    }

    @PostMapping("/{run:\\d+}/approve")
    ObjectNode approve(@PathVariable long run, Principal caller, @RequestBody(required = false) byte[] body) {
        verifications.approve(run, caller.getName(), Bodies.optionalReason(body));
        return get(run);
    }

    @PostMapping("/{run:\\d+}/pause")
    ObjectNode pause(@PathVariable long run, Principal caller, @RequestBody(required = false) byte[] body) {
        verifications.pause(run, caller.getName(), Bodies.optionalReason(body));
        return get(run);
    }

    @PostMapping("/{run:\\d+}/resume")
    ObjectNode resume(@PathVariable long run, Principal caller, @RequestBody(required = false) byte[] body) {
        verifications.resume(run, caller.getName(), Bodies.optionalReason(body));
        return get(run);
    }

    @PostMapping("/{run:\\d+}/cancel")
    ObjectNode cancel(@PathVariable long run, Principal caller, @RequestBody(required = false) byte[] body) {
        verifications.cancel(run, caller.getName(), Bodies.optionalReason(body));
        return get(run);
    }

    /** Takes back what a run has repaired, of all its records or of the given ids. */
    @PostMapping("/{run:\\d+}/undo")
    ResponseEntity<Map<String, Long>> undo(
            @PathVariable long run, Principal caller, @RequestBody(required = false) byte[] body) {
        ObjectNode asked = Bodies.object(body, Set.of("ids", "reason"));
        Set<String> ids = null;
        if (asked.hasNonNull("ids")) {
            String entity = (String) verifications.get(run).get("entity");
            ids = ids(schemas.of(entity), asked.path("ids"));
        }
        long undo = verifications.undo(run, ids, caller.getName(), Bodies.optionalReason(asked));
        return ResponseEntity.status(HttpStatus.ACCEPTED).body(Map.of("run", undo));
    }

    private static ObjectNode run(Map<String, Object> row) {
        ObjectNode item = Json.MAPPER.createObjectNode();
        item.put("run", (Long) row.get("run"));
        item.put("state", (String) row.get("state"));
        item.put("paused", (Boolean) row.get("paused"));
        item.put("entity", (String) row.get("entity"));
        item.put("origin", (String) row.get("origin"));
        item.put("undoes", (Long) row.get("undoes"));
        item.put("repair", (String) row.get("repair"));
        item.put("ids", (Integer) row.get("ids"));
        item.put("records", (Long) row.get("records"));
        item.put("compared", (Long) row.get("compared"));
        item.put("unverified", (Long) row.get("unverified"));
        item.set(
                "differences",
                row.get("kinds") == null ? Json.MAPPER.createObjectNode() : Json.read((String) row.get("kinds")));
        item.put("unconfirmed", (Long) row.get("open"));
        item.put("repaired", (Long) row.get("repaired"));
        item.set("told", Json.read((String) row.get("told")));
        item.put("asked_by", (String) row.get("asked_by"));
        item.put("approved_by", (String) row.get("approved_by"));
        item.put("created_at", time(row.get("created_at")));
        item.put("started_at", time(row.get("started_at")));
        item.put("ended_at", time(row.get("ended_at")));
        return item;
    }

    private static String time(Object at) {
        return at == null ? null : ((Timestamp) at).toInstant().toString();
    }
}
