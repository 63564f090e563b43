package dev.twinsync.api;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.deadletter.DeadLetters;
import dev.twinsync.record.Json;
import dev.twinsync.record.Masking;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import java.nio.charset.StandardCharsets;
import java.security.Principal;
import java.sql.Timestamp;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.springframework.http.HttpStatus;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

/** The dead letters: what failed and why, and what is done about it. */
@RestController
class DeadLetterController {

    private static final int MOST = 200;

    private final DeadLetters letters;
    private final Schemas schemas;

    DeadLetterController(DeadLetters letters, Schemas schemas) {
        this.letters = letters;
        this.schemas = schemas;
    }

    @GetMapping("/dead-letters")
    ObjectNode list(@RequestParam Map<String, String> filter) {
        long after = number(filter, "after", Long.MAX_VALUE);
        int limit = (int) Math.max(1, Math.min(MOST, number(filter, "limit", 50)));
        for (String time : List.of("from", "to")) {
            if (filter.get(time) != null) {
                try {
                    java.time.OffsetDateTime.parse(filter.get(time));
                } catch (java.time.DateTimeException e) {
                    throw new Problem(HttpStatus.BAD_REQUEST, time + ": write a time with its offset");
                }
            }
        }
        List<Map<String, Object>> rows = letters.list(filter, after, limit);
        ObjectNode answer = Json.MAPPER.createObjectNode();
        ArrayNode items = answer.putArray("items");
        rows.forEach(row -> items.add(brief(row)));
        answer.put(
                "next",
                rows.size() < limit ? null : (Long) rows.get(rows.size() - 1).get("id"));
        return answer;
    }

    @GetMapping("/dead-letters/groups")
    ObjectNode groups() {
        ObjectNode answer = Json.MAPPER.createObjectNode();
        ArrayNode items = answer.putArray("items");
        for (Map<String, Object> row : letters.groups()) {
            ObjectNode item = items.addObject();
            item.put("group", (String) row.get("failure_group"));
            item.put("route", (String) row.get("route"));
            item.put("step", (String) row.get("step"));
            item.set("error", Json.read((String) row.get("error")));
            item.put("count", (Long) row.get("count"));
            item.put("records", (Long) row.get("records"));
            item.put("first_seen", time(row.get("first_seen")));
            item.put("last_seen", time(row.get("last_seen")));
            item.put("state", "new");
            item.putNull("note");
        }
        answer.putNull("next");
        return answer;
    }

    @GetMapping("/dead-letters/{id:\\d+}")
    ObjectNode detail(@PathVariable long id) {
        Map<String, Object> row = letters.row(id);
        ObjectNode item = brief(row);
        item.put("file", (String) row.get("file"));
        item.put("reason", (String) row.get("reason"));
        Set<String> personal = personal((String) row.get("entity"));
        byte[] message = (byte[]) row.get("message");
        item.set("message", message == null ? null : masked(text(message), personal));
        item.set("headers", read(row.get("headers"), Set.of()));
        item.set("request", read(row.get("request"), personal));
        item.set("systems", read(row.get("systems"), personal));
        item.set("retries", read(row.get("retries"), Set.of()));
        return item;
    }

    @PostMapping("/dead-letters/{id:\\d+}/retry")
    ResponseEntity<Map<String, String>> retry(
            @PathVariable long id, @RequestBody(required = false) byte[] body, Principal caller) {
        ObjectNode asked = object(body);
        JsonNode patch = asked.path("body");
        if (!patch.isMissingNode() && !patch.isNull() && !patch.isObject()) {
            throw new Problem(
                    HttpStatus.UNPROCESSABLE_ENTITY,
                    "body: write an object with the fields to mend",
                    List.of(new Schema.Problem("/body", "body", "an object is needed")));
        }
        String operation = letters.retry(
                id,
                asked.path("reason").asText(null),
                patch instanceof ObjectNode object ? object : null,
                caller.getName());
        return ResponseEntity.status(HttpStatus.ACCEPTED).body(Map.of("operation", operation));
    }

    @PostMapping("/dead-letters/{id:\\d+}/discard")
    Map<String, String> discard(@PathVariable long id, @RequestBody(required = false) byte[] body) {
        String reason = object(body).path("reason").asText("");
        if (reason.isBlank()) {
            throw new Problem(
                    HttpStatus.UNPROCESSABLE_ENTITY,
                    "a reason is needed",
                    List.of(new Schema.Problem("/reason", "reason", "say why")));
        }
        letters.discard(id, reason);
        return Map.of("state", "discarded");
    }

    @PostMapping("/dead-letters/{id:\\d+}/restore")
    Map<String, String> restore(@PathVariable long id) {
        letters.restore(id);
        return Map.of("state", "open");
    }

    private static ObjectNode object(byte[] body) {
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

    private static ObjectNode brief(Map<String, Object> row) {
        ObjectNode item = Json.MAPPER.createObjectNode();
        item.put("id", (Long) row.get("id"));
        item.put("state", (String) row.get("state"));
        item.put("superseded_by", (Long) row.get("superseded_by"));
        item.put("entity", (String) row.get("entity"));
        item.put("key", (String) row.get("record_id"));
        item.put("system", (String) row.get("system"));
        item.put("field", "".equals(row.get("slot")) ? null : (String) row.get("slot"));
        item.put("route", (String) row.get("route"));
        item.put("step", (String) row.get("step"));
        item.put("group", (String) row.get("failure_group"));
        item.put("version", (Long) row.get("version"));
        item.set("error", Json.read((String) row.get("error")));
        item.put("attempts", (Integer) row.get("attempts"));
        item.put("first_failed_at", time(row.get("first_failed_at")));
        item.put("last_failed_at", time(row.get("last_failed_at")));
        return item;
    }

    private static long number(Map<String, String> filter, String name, long otherwise) {
        try {
            return filter.get(name) == null ? otherwise : Long.parseLong(filter.get(name));
        } catch (NumberFormatException e) {
            throw new Problem(HttpStatus.BAD_REQUEST, name + ": write a number");
        }
    }

    private static String time(Object at) {
        return ((Timestamp) at).toInstant().toString();
    }

    private Set<String> personal(String entity) {
        return schemas.has(entity)
                ? schemas.of(entity).fields().stream()
                        .filter(field -> field.personal())
                        .map(field -> field.name())
                        .collect(Collectors.toSet())
                : Set.of();
    }

    private static JsonNode text(byte[] message) {
        try {
            return Json.read(message);
        } catch (IllegalArgumentException e) {
            return Json.MAPPER.valueToTree(new String(message, StandardCharsets.UTF_8));
        }
    }

    private static JsonNode read(Object text, Set<String> personal) {
        return text == null ? null : masked(Json.read((String) text), personal);
    }

    /** Hides personal fields wherever they stand in the tree. */
    private static JsonNode masked(JsonNode node, Set<String> personal) {
        if (node instanceof ObjectNode object) {
            object.properties().forEach(member -> {
                if (personal.contains(member.getKey())
                        && member.getValue().isValueNode()
                        && !member.getValue().isNull()) {
                    member.setValue(Json.MAPPER.valueToTree(
                            Masking.mask(member.getValue().asText())));
                } else {
                    masked(member.getValue(), personal);
                }
            });
        } else if (node != null && node.isArray()) {
            node.forEach(item -> masked(item, personal));
        }
        return node;
    }
}
