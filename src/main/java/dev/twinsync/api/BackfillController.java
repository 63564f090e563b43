package dev.twinsync.api;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.audit.Audit;
import dev.twinsync.backfill.Backfill;
import dev.twinsync.backfill.Backfills;
import dev.twinsync.record.Json;
import dev.twinsync.record.Masking;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import java.security.Principal;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.springframework.http.HttpStatus;
import org.springframework.web.bind.annotation.DeleteMapping;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.ResponseStatus;
import org.springframework.web.bind.annotation.RestController;

/** The first load of an entity: begun, watched, cancelled, and what differed. */
@RestController
@RequestMapping("/backfills")
class BackfillController {

    private static final int MOST = 200;

    private final Backfills backfills;
    private final Schemas schemas;
    private final Audit audit;

    BackfillController(Backfills backfills, Schemas schemas, Audit audit) {
        this.backfills = backfills;
        this.schemas = schemas;
        this.audit = audit;
    }

    @PostMapping
    @ResponseStatus(HttpStatus.ACCEPTED)
    ObjectNode start(@RequestBody byte[] body, Principal caller) {
        ObjectNode asked = Bodies.object(body);
        List<Schema.Problem> problems = new ArrayList<>();
        asked.fieldNames().forEachRemaining(name -> {
            if (!List.of("entity", "systems", "dry_run", "rate").contains(name)) {
                problems.add(problem(name, "there is no such field"));
            }
        });
        String entity = asked.path("entity").asText("");
        if (!schemas.has(entity)) {
            problems.add(problem(
                    "entity",
                    "one of " + schemas.all().stream().map(Schema::entity).toList() + " is needed"));
        }
        JsonNode dryRun = asked.path("dry_run");
        if (!dryRun.isMissingNode() && !dryRun.isBoolean()) {
            problems.add(problem("dry_run", "true or false is needed"));
        }
        JsonNode rate = asked.path("rate");
        if (!rate.isMissingNode() && !(rate.canConvertToInt() && rate.isIntegralNumber() && rate.asInt() >= 0)) {
            problems.add(problem("rate", "records a second are needed, 0 for no bound"));
        }
        List<String> systems = systems(asked.path("systems"), entity, problems);
        if (!problems.isEmpty()) {
            throw new Problem(HttpStatus.UNPROCESSABLE_ENTITY, "the backfill can't be begun", problems);
        }
        boolean dry = dryRun.asBoolean(false);
        Audit.Act act = new Audit.Act(
                caller.getName(), "backfill.begin", "backfill", null, null, Map.of("entity", entity, "dry_run", dry));
        return shown(audit.act(
                act,
                () -> backfills.start(
                        entity,
                        systems,
                        dry,
                        rate.isMissingNode() ? null : rate.asInt(),
                        "asked for by " + caller.getName())));
    }

    private List<String> systems(JsonNode asked, String entity, List<Schema.Problem> problems) {
        if (asked.isMissingNode() || !schemas.has(entity)) {
            return null;
        }
        List<String> systems = new ArrayList<>();
        asked.forEach(system -> systems.add(system.asText()));
        List<String> all = schemas.of(entity).systems();
        if (!asked.isArray() || systems.isEmpty() || !all.containsAll(systems)) {
            problems.add(problem("systems", "a list of " + all + " is needed"));
        }
        return all.stream().filter(systems::contains).toList();
    }

    private static Schema.Problem problem(String field, String message) {
        return new Schema.Problem('/' + field, field, message);
    }

    @GetMapping
    ObjectNode list(@RequestParam(required = false) Long after, @RequestParam(defaultValue = "50") int limit) {
        int most = Math.max(1, Math.min(MOST, limit));
        List<Backfill> runs = backfills.list(after == null ? Long.MAX_VALUE : after, most);
        ObjectNode answer = Json.MAPPER.createObjectNode();
        ArrayNode items = answer.putArray("items");
        runs.forEach(run -> items.add(shown(run)));
        answer.put("next", runs.size() < most ? null : runs.get(runs.size() - 1).id());
        return answer;
    }

    @GetMapping("/{run:\\d+}")
    ObjectNode run(@PathVariable long run) {
        return shown(backfills.of(run));
    }

    @DeleteMapping("/{run:\\d+}")
    ObjectNode cancel(@PathVariable long run, Principal caller) {
        Audit.Act act =
                new Audit.Act(caller.getName(), "backfill.cancel", "backfill", String.valueOf(run), null, Map.of());
        return audit.act(act, () -> {
            if (!backfills.cancel(run)) {
                throw new Problem(
                        HttpStatus.CONFLICT,
                        "the backfill is " + backfills.of(run).state());
            }
            return shown(backfills.of(run));
        });
    }

    @GetMapping("/{run:\\d+}/differences")
    ObjectNode differences(
            @PathVariable long run,
            @RequestParam(defaultValue = "0") long after,
            @RequestParam(defaultValue = "50") int limit) {
        int most = Math.max(1, Math.min(MOST, limit));
        String entity = backfills.of(run).entity();
        Schema schema = schemas.has(entity) ? schemas.of(entity) : null;
        List<Map<String, Object>> rows = backfills.differences(run, after, most);
        ObjectNode answer = Json.MAPPER.createObjectNode();
        ArrayNode items = answer.putArray("items");
        Long next = null;
        for (Map<String, Object> row : rows) {
            next = (Long) row.get("seq");
            ObjectNode item = items.addObject();
            item.put("id", (String) row.get("record_id"));
            item.put("kind", (String) row.get("kind"));
            item.set("fields", masked(schema, (String) row.get("kind"), Json.read((String) row.get("fields"))));
        }
        answer.put("next", rows.size() < most ? null : next);
        return answer;
    }

    private static JsonNode masked(Schema schema, String kind, JsonNode fields) {
        if (schema != null && kind.equals("differs")) {
            fields.properties().forEach(field -> {
                ObjectNode values = (ObjectNode) field.getValue();
                values.properties()
                        .forEach(value -> value.setValue(Masking.mask(schema.field(field.getKey()), value.getValue())));
            });
        }
        return fields;
    }

    private static ObjectNode shown(Backfill run) {
        ObjectNode shown = Json.MAPPER.createObjectNode();
        shown.put("run", run.id());
        shown.put("entity", run.entity());
        run.systems().forEach(shown.putArray("systems")::add);
        shown.put("dry_run", run.dryRun());
        shown.put("rate_limit", run.rate());
        shown.put("reason", run.reason());
        shown.put("state", run.state());
        shown.put("done", run.done());
        shown.put("total", run.total());
        shown.put("rate", run.perSecond());
        shown.put("seconds_left", run.secondsLeft());
        shown.put("waits_for", run.waitsFor());
        shown.set("counts", run.counts());
        shown.put("queued_at", run.queuedAt().toString());
        shown.put("started_at", run.startedAt() == null ? null : run.startedAt().toString());
        shown.put("ended_at", run.endedAt() == null ? null : run.endedAt().toString());
        return shown;
    }
}
