package dev.twinsync.api;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.capture.Clocks;
import dev.twinsync.merge.Observation;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import dev.twinsync.state.Observations;
import jakarta.servlet.http.HttpServletRequest;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.security.Principal;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.apache.camel.ProducerTemplate;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.http.HttpStatus;
import org.springframework.http.ResponseEntity;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.transaction.support.TransactionTemplate;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestHeader;
import org.springframework.web.bind.annotation.RestController;

/**
 * What backends push. It is checked whole before anything is taken, and answered once Kafka has it; no header of the
 * request reaches a flow.
 */
@RestController
class PushController {

    private static final int MOST_ITEMS = 1000;
    private static final Instant EARLIEST = Instant.parse("0001-01-01T00:00:00Z");
    private static final Instant LATEST = Instant.parse("9999-12-31T23:59:59.999999Z");

    private final Schemas schemas;
    private final ProducerTemplate template;
    private final Clocks clocks;
    private final JdbcTemplate jdbc;
    private final TransactionTemplate transaction;
    private final int maxBody;

    PushController(
            Schemas schemas,
            ProducerTemplate template,
            Clocks clocks,
            JdbcTemplate jdbc,
            TransactionTemplate transaction,
            @Value("${twinsync.api.max-body}") int maxBody) {
        this.schemas = schemas;
        this.template = template;
        this.clocks = clocks;
        this.jdbc = jdbc;
        this.transaction = transaction;
        this.maxBody = maxBody;
    }

    @PostMapping("/sync_{entity}_data")
    ResponseEntity<Map<String, Object>> push(
            @PathVariable String entity,
            @RequestHeader(name = "Idempotency-Key", required = false) String key,
            HttpServletRequest request,
            Principal caller)
            throws IOException {
        Schema schema = schema(entity);
        byte[] body = body(request);
        JsonNode json = json(body);
        String eventId = UUID.randomUUID().toString();
        if (key != null) {
            if (key.isBlank() || key.length() > 255) {
                throw new Problem(HttpStatus.BAD_REQUEST, "Idempotency-Key: 1 to 255 characters");
            }
            eventId = UUID.nameUUIDFromBytes(
                            (caller.getName() + '/' + entity + '/' + key).getBytes(StandardCharsets.UTF_8))
                    .toString();
        }
        Observation observation = observation(schema, json, caller.getName(), eventId, "");
        if (key == null) {
            publish(schema, List.of(observation));
        } else {
            once(schema, caller.getName(), entity + '/' + key, body, observation);
        }
        return ResponseEntity.status(HttpStatus.ACCEPTED).body(accepted(schema, observation));
    }

    @PostMapping("/sync_{entity}_data/batch")
    ResponseEntity<Map<String, Object>> batch(@PathVariable String entity, HttpServletRequest request, Principal caller)
            throws IOException {
        Schema schema = schema(entity);
        JsonNode json = json(body(request));
        JsonNode items = json.path("items");
        if (!items.isArray() || json.size() != 1) {
            throw new Problem(
                    HttpStatus.BAD_REQUEST, "write {\"items\": [...]}", problem("/items", "an array is needed"));
        }
        if (items.size() > MOST_ITEMS) {
            throw new Problem(
                    HttpStatus.UNPROCESSABLE_ENTITY, "too many items", problem("/items", "at most " + MOST_ITEMS));
        }
        List<Observation> observations = new ArrayList<>();
        List<Map<String, Object>> results = new ArrayList<>();
        for (int i = 0; i < items.size(); i++) {
            Map<String, Object> result = new LinkedHashMap<>();
            result.put("id", items.get(i).path(schema.key()).asText(null));
            try {
                Observation o = observation(
                        schema,
                        items.get(i),
                        caller.getName(),
                        UUID.randomUUID().toString(),
                        "/items/" + i);
                observations.add(o);
                result.put("status", "accepted");
                result.put("event_id", o.eventId());
            } catch (Problem problem) {
                result.put("status", "refused");
                result.put("problem", problem.detail());
            }
            results.add(result);
        }
        if (!observations.isEmpty()) {
            publish(schema, observations);
        }
        return ResponseEntity.status(HttpStatus.ACCEPTED).body(Map.of("results", results));
    }

    private Schema schema(String entity) {
        if (!schemas.has(entity)) {
            throw new Problem(HttpStatus.NOT_FOUND, "there is no such path");
        }
        return schemas.of(entity);
    }

    private static Map<String, Object> accepted(Schema schema, Observation o) {
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("status", "accepted");
        answer.put("entity", schema.entity());
        answer.put("id", o.id());
        answer.put("event_id", o.eventId());
        return answer;
    }

    private void publish(Schema schema, List<Observation> observations) {
        template.sendBody("direct:push-" + schema.plural(), observations);
    }

    /** The same key publishes once: it is kept only when Kafka has the observation, and a second call waits for the first. */
    private void once(Schema schema, String system, String key, byte[] body, Observation observation) {
        transaction.executeWithoutResult(status -> {
            int made = jdbc.update(
                    "insert into push_key (system, key, body, event_id) values (?, ?, sha256(?), ?) on conflict do nothing",
                    system,
                    key,
                    body,
                    observation.eventId());
            if (made == 1) {
                publish(schema, List.of(observation));
            } else if (!Boolean.TRUE.equals(jdbc.queryForObject(
                    "select body = sha256(?) from push_key where system = ? and key = ?",
                    Boolean.class,
                    body,
                    system,
                    key))) {
                throw new Problem(
                        HttpStatus.UNPROCESSABLE_ENTITY,
                        "Idempotency-Key: it was used for another body; take a new one");
            }
        });
    }

    private byte[] body(HttpServletRequest request) throws IOException {
        String type = request.getContentType();
        if (type == null || !type.toLowerCase(java.util.Locale.ROOT).matches("application/json\\s*(;.*)?")) {
            throw new Problem(HttpStatus.UNSUPPORTED_MEDIA_TYPE, "send Content-Type: application/json");
        }
        if (request.getContentLengthLong() > maxBody) {
            throw new Problem(HttpStatus.PAYLOAD_TOO_LARGE, "at most " + maxBody + " bytes");
        }
        byte[] body = request.getInputStream().readNBytes(maxBody + 1);
        if (body.length > maxBody) {
            throw new Problem(HttpStatus.PAYLOAD_TOO_LARGE, "at most " + maxBody + " bytes");
        }
        return body;
    }

    private static JsonNode json(byte[] body) {
        try {
            String text = StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(body))
                    .toString();
            JsonNode json = Json.read(text);
            if (json == null || !json.isObject()) {
                throw new Problem(HttpStatus.BAD_REQUEST, "write a JSON object");
            }
            return json;
        } catch (CharacterCodingException e) {
            throw new Problem(HttpStatus.BAD_REQUEST, "the body is not UTF-8");
        } catch (IllegalArgumentException e) {
            // the parser's message may quote the body, and with it what is personal
            String told = e.getMessage() != null && e.getMessage().contains("Duplicate field")
                    ? "a key stands twice in one object"
                    : "the body is not one JSON value, or nested too deep, or holds a number too long";
            throw new Problem(HttpStatus.BAD_REQUEST, told);
        }
    }

    private Observation observation(Schema schema, JsonNode json, String system, String eventId, String at) {
        List<Schema.Problem> problems = new ArrayList<>();
        if (!json.isObject()) {
            throw new Problem(HttpStatus.UNPROCESSABLE_ENTITY, "write an object", problem(at, "an object is needed"));
        }
        json.fieldNames().forEachRemaining(name -> {
            if (!name.equals(schema.key()) && !name.equals("data") && !name.equals("updated_at")) {
                problems.add(new Schema.Problem(
                        at + '/' + name, name, "no such member; known are " + schema.key() + ", data, updated_at"));
            }
        });
        JsonNode id = json.path(schema.key());
        String refused = !id.isTextual() ? "write it as a string" : schema.refuseId(id.asText());
        if (refused != null) {
            problems.add(new Schema.Problem(at + '/' + schema.key(), schema.key(), refused));
        }
        Instant stated = null;
        JsonNode updated = json.path("updated_at");
        if (!updated.isMissingNode() && !updated.isNull()) {
            try {
                stated = OffsetDateTime.parse(updated.asText()).toInstant();
                if (stated.isBefore(EARLIEST) || stated.isAfter(LATEST)) {
                    throw new DateTimeException("beyond what can be stored");
                }
            } catch (DateTimeException e) {
                problems.add(new Schema.Problem(
                        at + "/updated_at",
                        "updated_at",
                        "write a time with its offset, e.g. 2026-01-31T08:00:00+08:00"));
            }
        }
        if (!(json.path("data") instanceof ObjectNode data)) {
            problems.add(new Schema.Problem(at + "/data", "data", "write an object with the fields to set"));
            throw new Problem(HttpStatus.UNPROCESSABLE_ENTITY, "the record can't be used", problems);
        }
        JsonNode own = data.get(schema.key());
        if (own != null && !own.equals(id)) {
            problems.add(new Schema.Problem(at + "/data/" + schema.key(), schema.key(), "the key can't be changed"));
        }
        Schema.Normalised normalised = schema.normalise(data, false);
        normalised
                .problems()
                .forEach(p -> problems.add(new Schema.Problem(at + "/data" + p.pointer(), p.field(), p.message())));
        if (!problems.isEmpty()) {
            throw new Problem(HttpStatus.UNPROCESSABLE_ENTITY, "the record can't be used", problems);
        }
        return Observations.push(
                schema.entity(),
                id.asText(),
                system,
                data,
                stated == null ? null : updated.asText(),
                clocks.corrected(system, stated),
                eventId);
    }

    private static List<Schema.Problem> problem(String pointer, String message) {
        return List.of(new Schema.Problem(pointer, pointer, message));
    }
}
