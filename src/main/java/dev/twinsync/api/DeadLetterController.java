package dev.twinsync.api;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.deadletter.DeskActs;
import dev.twinsync.deadletter.LetterExport;
import dev.twinsync.deadletter.LetterFilter;
import dev.twinsync.deadletter.Letters;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.security.Principal;
import java.util.Arrays;
import java.util.Map;
import java.util.function.Supplier;
import org.springframework.core.io.ClassPathResource;
import org.springframework.core.io.Resource;
import org.springframework.http.HttpStatus;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PatchMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestHeader;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

/** The dead letters: what failed and why, and what is done about it. */
@RestController
class DeadLetterController {

    private static final int MOST = 200;

    private final Letters letters;
    private final DeskActs acts;
    private final LetterExport export;

    DeadLetterController(Letters letters, DeskActs acts, LetterExport export) {
        this.letters = letters;
        this.acts = acts;
        this.export = export;
    }

    @GetMapping("/dead-letters")
    ObjectNode list(@RequestParam Map<String, String> given) {
        int limit = (int) Math.max(1, Math.min(MOST, number(given, "limit", 50)));
        String sort = given.getOrDefault("sort", Letters.Order.NEWEST.word());
        Problem.oneOf("sort", sort, Letters.Order.WORDS);
        Letters.Order order = Letters.Order.of(sort);
        Letters.Page page = usable(
                () -> letters.list(LetterFilter.of(given, "after", "limit", "sort"), order, given.get("after"), limit));
        ObjectNode answer = Json.MAPPER.createObjectNode();
        ArrayNode items = answer.putArray("items");
        page.items().forEach(items::add);
        if (order == Letters.Order.NEWEST && page.next() != null) {
            answer.put("next", Long.parseLong(page.next()));
        } else {
            answer.put("next", page.next());
        }
        return answer;
    }

    @GetMapping("/dead-letters/groups")
    ObjectNode groups(
            @RequestParam(required = false) String state,
            @RequestParam(defaultValue = "false") boolean all,
            @RequestParam(defaultValue = "count") String sort) {
        String of = state == null || state.isEmpty() ? null : state;
        Problem.oneOf("sort", sort, Letters.GROUP_ORDERS);
        Problem.oneOf("state", of, Letters.GROUP_STATES);
        ObjectNode answer = Json.MAPPER.createObjectNode();
        ArrayNode items = answer.putArray("items");
        letters.groups(of, all, sort).forEach(items::add);
        answer.putNull("next");
        return answer;
    }

    @GetMapping("/dead-letters/groups/{group}")
    ObjectNode group(@PathVariable String group) {
        return letters.group(group);
    }

    /** Says what is known of a cause: {@code {state?, note?}}. */
    @PatchMapping("/dead-letters/groups/{group}")
    ObjectNode mark(@PathVariable String group, @RequestBody(required = false) byte[] body, Principal caller) {
        ObjectNode asked = Bodies.object(body);
        String state = asked.path("state").asText(null);
        if (asked.hasNonNull("state") && !Letters.GROUP_STATES.contains(state)) {
            throw Bodies.invalid("state", "write one of " + String.join(", ", Letters.GROUP_STATES));
        }
        JsonNode note = asked.get("note");
        if (note != null
                && !note.isNull()
                && (!note.isTextual() || note.asText().length() > 4000)) {
            throw Bodies.invalid("note", "write a text of at most 4000 characters");
        }
        if (!asked.hasNonNull("state") && note == null) {
            throw Bodies.invalid("state", "write a state or a note");
        }
        return acts.mark(
                group,
                asked.hasNonNull("state") ? state : null,
                note == null ? null : note.isNull() ? "" : note.asText(),
                caller.getName());
    }

    @GetMapping("/dead-letters/{id:\\d+}")
    ObjectNode detail(@PathVariable long id) {
        return letters.detail(id);
    }

    /** The letters of a filter as a file: {@code ?format=jsonl|csv&…}. */
    @GetMapping("/dead-letters/export")
    void export(
            @RequestParam(defaultValue = "jsonl") String format,
            @RequestParam Map<String, String> given,
            Principal caller,
            HttpServletResponse response)
            throws IOException {
        LetterFilter filter = usable(() -> LetterFilter.of(given, "format"));
        Problem.oneOf("format", format, LetterExport.FORMATS);
        acts.exported(filter, format, caller.getName());
        response.setContentType(format.equals("csv") ? "text/csv;charset=UTF-8" : "application/x-ndjson");
        response.setHeader("Content-Disposition", "attachment; filename=\"dead-letters." + format + '"');
        export.write(format, filter, response.getOutputStream());
    }

    @PostMapping("/dead-letters/{id:\\d+}/retry")
    ResponseEntity<Map<String, String>> retry(
            @PathVariable long id,
            @RequestBody(required = false) byte[] body,
            @RequestHeader(name = "Idempotency-Key", required = false) String key,
            Principal caller) {
        ObjectNode asked = Bodies.object(body);
        JsonNode patch = asked.path("body");
        if (!patch.isMissingNode() && !patch.isNull() && !patch.isObject()) {
            throw Bodies.invalid("body", "write an object with the fields to mend");
        }
        long operation = acts.retry(
                id,
                asked.path("reason").asText(null),
                patch instanceof ObjectNode object ? object : null,
                caller.getName(),
                Bodies.callKey(caller, key));
        return ResponseEntity.status(HttpStatus.ACCEPTED).body(Map.of("operation", String.valueOf(operation)));
    }

    @PostMapping("/dead-letters/{id:\\d+}/discard")
    Map<String, String> discard(@PathVariable long id, @RequestBody(required = false) byte[] body, Principal caller) {
        ObjectNode asked = Bodies.object(body);
        acts.discard(id, Bodies.reason(asked), Bodies.flag(asked, "from_retries"), caller.getName());
        return Map.of("state", "discarded");
    }

    /**
     * {@code {filter, reason, from_retries?, dry_run?}}: hides the open letters of a filter that there are at the call. Those
     * that wait in a retry are left to it, but where they are to be taken out.
     */
    @PostMapping("/dead-letters/discards")
    ObjectNode discard(@RequestBody(required = false) byte[] body, Principal caller) {
        ObjectNode asked = Bodies.object(body);
        LetterFilter filter = Bodies.filter(asked.get("filter"));
        boolean fromRetries = Bodies.flag(asked, "from_retries");
        ObjectNode answer = Json.MAPPER.createObjectNode();
        if (Bodies.flag(asked, "dry_run")) {
            Letters.Discarding look = letters.discarding(filter);
            answer.put("dry_run", true).put("total", look.total() + (fromRetries ? look.inRetries() : 0));
            answer.put("in_retries", look.inRetries()).put("on_their_way", look.onTheirWay());
            retries(answer, look).put("up_to", look.upTo());
            return answer;
        }
        answer.put("discarded", acts.discard(filter, Bodies.reason(asked), fromRetries, caller.getName()));
        Letters.Discarding left = letters.discarding(filter);
        return retries(answer.put("left_to_retries", left.inRetries() + left.onTheirWay()), left);
    }

    private static ObjectNode retries(ObjectNode answer, Letters.Discarding look) {
        ArrayNode retries = answer.putArray("retries");
        look.retries().forEach(one -> retries.add(String.valueOf(one)));
        return answer;
    }

    /** {@code {filter, dry_run?}}: brings the discarded letters of a filter back. */
    @PostMapping("/dead-letters/restores")
    ObjectNode restore(@RequestBody(required = false) byte[] body, Principal caller) {
        ObjectNode asked = Bodies.object(body);
        LetterFilter filter = Bodies.filter(asked.get("filter"));
        if (Bodies.flag(asked, "dry_run")) {
            Letters.Frozen frozen = letters.discarded(filter);
            return Json.MAPPER
                    .createObjectNode()
                    .put("dry_run", true)
                    .put("total", frozen.total())
                    .put("up_to", frozen.upTo());
        }
        return Json.MAPPER.createObjectNode().put("restored", acts.restore(filter, caller.getName()));
    }

    @PostMapping("/dead-letters/{id:\\d+}/restore")
    Map<String, String> restore(@PathVariable long id, Principal caller) {
        acts.restore(id, caller.getName());
        return Map.of("state", "open");
    }

    /** The alert rules that ship with the service, for Prometheus. */
    @GetMapping(path = "/alerts.yaml", produces = "application/yaml")
    Resource alerts() {
        return new ClassPathResource("alerts/twinsync.yaml");
    }

    private static <T> T usable(Supplier<T> asked) {
        try {
            return asked.get();
        } catch (LetterFilter.Invalid e) {
            throw new Problem(
                    HttpStatus.BAD_REQUEST,
                    e.getMessage(),
                    Arrays.asList(new Schema.Problem("/" + e.name(), e.name(), e.getMessage())));
        }
    }

    private static long number(Map<String, String> given, String name, long otherwise) {
        try {
            return given.get(name) == null || given.get(name).isEmpty() ? otherwise : Long.parseLong(given.get(name));
        } catch (NumberFormatException e) {
            throw new Problem(HttpStatus.BAD_REQUEST, name + ": write a number");
        }
    }
}
