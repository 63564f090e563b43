package dev.twinsync.api;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.deadletter.DeskActs;
import dev.twinsync.deadletter.LetterFilter;
import dev.twinsync.deadletter.Retries;
import dev.twinsync.record.Json;
import java.math.BigDecimal;
import java.security.Principal;
import java.util.List;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.http.HttpStatus;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.DeleteMapping;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestHeader;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

/** Retries of sets of letters: asked for, watched, paused, resumed and cancelled. */
@RestController
class RetryController {

    private final Retries retries;
    private final DeskActs acts;
    private final BigDecimal rate;

    RetryController(Retries retries, DeskActs acts, @Value("${twinsync.dead-letters.retry.rate}") BigDecimal rate) {
        this.retries = retries;
        this.acts = acts;
        this.rate = rate;
    }

    /**
     * {@code {filter, rate?, canary?, stop_at_failure_ratio?, reason?, dry_run?}}: the filter as in a list, {} for all
     * open letters. A dry run answers what would happen and begins nothing.
     */
    @PostMapping("/dead-letters/retries")
    ResponseEntity<ObjectNode> retry(
            @RequestBody(required = false) byte[] body,
            @RequestHeader(name = "Idempotency-Key", required = false) String key,
            Principal caller) {
        ObjectNode asked = Bodies.object(body);
        LetterFilter filter = Bodies.filter(asked.get("filter"));
        BigDecimal pace = number(asked, "rate", rate, Retries.Bound.RATE);
        BigDecimal stopAt = number(asked, "stop_at_failure_ratio", BigDecimal.ONE, Retries.Bound.STOP_AT);
        BigDecimal canary = number(asked, "canary", BigDecimal.ZERO, Retries.Bound.CANARY);
        if (Bodies.flag(asked, "dry_run")) {
            return ResponseEntity.ok(plan(filter));
        }
        long operation = acts.retry(new Retries.Ask(
                filter,
                pace,
                canary.intValue(),
                stopAt,
                asked.path("reason").asText(null),
                caller.getName(),
                Bodies.callKey(caller, key)));
        return ResponseEntity.status(HttpStatus.ACCEPTED).body(retries.operation(operation));
    }

    private ObjectNode plan(LetterFilter filter) {
        Retries.Plan plan = retries.plan(filter);
        ObjectNode answer = Json.MAPPER.createObjectNode();
        answer.putNull("operation");
        answer.put("dry_run", true);
        answer.put("total", plan.total());
        answer.set("would", Json.MAPPER.valueToTree(plan.would()));
        answer.put("superseded", plan.superseded());
        answer.put("newer", plan.newer());
        answer.put("being_retried", plan.beingRetried());
        answer.put("up_to", plan.upTo());
        answer.put(
                "text",
                plan.total() + " would be retried, " + plan.superseded() + " of them are superseded, "
                        + plan.beingRetried() + " more are being retried already");
        return answer;
    }

    @GetMapping("/dead-letters/retries")
    ObjectNode list(
            @RequestParam(defaultValue = "9223372036854775807") long after,
            @RequestParam(defaultValue = "50") int limit) {
        int most = Math.max(1, Math.min(200, limit));
        List<ObjectNode> found = retries.list(after, most);
        ObjectNode answer = Json.MAPPER.createObjectNode();
        ArrayNode items = answer.putArray("items");
        found.forEach(items::add);
        answer.set("next", found.size() < most ? null : found.get(most - 1).get("operation"));
        return answer;
    }

    @GetMapping("/dead-letters/retries/{operation:\\d+}")
    ObjectNode operation(@PathVariable long operation) {
        return retries.operation(operation);
    }

    /** What became of each letter of the retry. */
    @GetMapping("/dead-letters/retries/{operation:\\d+}/letters")
    ObjectNode items(
            @PathVariable long operation,
            @RequestParam(required = false) String outcome,
            @RequestParam(defaultValue = "0") long after,
            @RequestParam(defaultValue = "50") int limit) {
        int most = Math.max(1, Math.min(200, limit));
        Problem.oneOf("outcome", outcome, Retries.OUTCOMES);
        List<ObjectNode> found = retries.items(operation, outcome, after, most);
        ObjectNode answer = Json.MAPPER.createObjectNode();
        ArrayNode items = answer.putArray("items");
        found.forEach(items::add);
        answer.set("next", found.size() < most ? null : found.get(most - 1).get("position"));
        return answer;
    }

    /** {@code {reason?}}, as for the two others below. */
    @PostMapping("/dead-letters/retries/{operation:\\d+}/pause")
    ObjectNode pause(@PathVariable long operation, @RequestBody(required = false) byte[] body, Principal caller) {
        acts.pause(operation, Bodies.optionalReason(body), caller.getName());
        return retries.operation(operation);
    }

    @PostMapping("/dead-letters/retries/{operation:\\d+}/resume")
    ObjectNode resume(@PathVariable long operation, @RequestBody(required = false) byte[] body, Principal caller) {
        acts.resume(operation, Bodies.optionalReason(body), caller.getName());
        return retries.operation(operation);
    }

    @DeleteMapping("/dead-letters/retries/{operation:\\d+}")
    ObjectNode cancel(@PathVariable long operation, @RequestBody(required = false) byte[] body, Principal caller) {
        acts.cancel(operation, Bodies.optionalReason(body), caller.getName());
        return retries.operation(operation);
    }

    private static BigDecimal number(ObjectNode asked, String member, BigDecimal otherwise, Retries.Bound bound) {
        JsonNode value = asked.path(member);
        if (value.isMissingNode() || value.isNull()) {
            return otherwise;
        }
        if (!value.isNumber() || !bound.holds(value.decimalValue())) {
            throw Bodies.invalid(
                    member,
                    "write a " + (bound == Retries.Bound.CANARY ? "whole " : "") + "number from "
                            + bound.least().toPlainString() + " to "
                            + bound.most().toPlainString());
        }
        return value.decimalValue();
    }
}
