package dev.twinsync;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.capture.Capture;
import dev.twinsync.devservices.MiniProgram;
import dev.twinsync.devservices.Neighbours;
import dev.twinsync.flow.KafkaClients;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import dev.twinsync.state.Records;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.camel.CamelContext;
import org.apache.camel.ProducerTemplate;
import org.apache.camel.Route;
import org.apache.kafka.clients.admin.Admin;
import org.awaitility.core.ThrowingRunnable;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.DriverManagerDataSource;

/** Both ends and the service between them, as a test plays and sees them. */
final class Ends {

    private static final HttpClient HTTP = HttpClient.newHttpClient();
    private static Ends shared;

    final JdbcTemplate app;
    final MiniProgram mini;
    final ConfigurableApplicationContext service;
    final Schemas schemas;
    final JdbcTemplate state;
    private final String url;
    private final Capture capture;
    private final ProducerTemplate template;
    private final Admin kafka;

    Ends(ConfigurableApplicationContext service, String appUrl, MiniProgram mini) {
        this.app = new JdbcTemplate(new DriverManagerDataSource(appUrl, "postgres", "postgres"));
        this.mini = mini;
        this.service = service;
        this.url = "http://127.0.0.1:" + service.getEnvironment().getProperty("local.server.port");
        this.schemas = service.getBean(Schemas.class);
        this.state = service.getBean(JdbcTemplate.class);
        this.capture = service.getBean(Capture.class);
        this.template = service.getBean(ProducerTemplate.class);
        this.kafka = Admin.create(service.getBean(KafkaClients.class).properties());
    }

    /** The ends that all test classes share. */
    static synchronized Ends shared() {
        if (shared == null) {
            Neighbours neighbours = Neighbours.get();
            shared = new Ends(neighbours.service(), neighbours.postgres.url(), neighbours.mini);
        }
        return shared;
    }

    /** Waits for what is not there yet; that it isn't is no failure of the check. */
    static void soon(ThrowingRunnable check) {
        soon(Duration.ofMillis(20), check);
    }

    private static void soon(Duration every, ThrowingRunnable check) {
        await().atMost(Duration.ofSeconds(60))
                .pollInterval(every)
                .ignoreExceptions()
                .untilAsserted(check);
    }

    /** As {@link #soon}, for what a key sweep finds: one that took long on a busy machine rests for longer than a test waits. */
    void swept(ThrowingRunnable check) {
        soon(Duration.ofMillis(500), () -> {
            app.update("update sync.cursor set value = value - 'rests' where value ? 'rests'");
            check.run();
        });
    }

    HttpResponse<String> post(String key, String path, String body) {
        return send(HttpRequest.newBuilder(URI.create(url + path))
                .header("Authorization", "Bearer " + key)
                .header("Content-Type", "application/json")
                .POST(BodyPublishers.ofString(body))
                .build());
    }

    /** What ops get to see. */
    JsonNode get(String path) {
        return Json.read(send(HttpRequest.newBuilder(URI.create(url + path))
                        .header("Authorization", "Bearer ops-key")
                        .build())
                .body());
    }

    private static HttpResponse<String> send(HttpRequest request) {
        try {
            return HTTP.send(request, HttpResponse.BodyHandlers.ofString());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        } catch (java.io.IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    /** Dead letters, newest first; {@code filter} as in {@code state=open&key=42}. */
    List<JsonNode> letters(String filter) {
        List<JsonNode> letters = new ArrayList<>();
        get("/dead-letters?limit=200&" + filter).path("items").forEach(letters::add);
        return letters;
    }

    JsonNode letter(long id) {
        return get("/dead-letters/" + id);
    }

    HttpResponse<String> act(long letter, String verb, String body) {
        return post("ops-key", "/dead-letters/" + letter + '/' + verb, body);
    }

    /**
     * Waits until nothing moves any more: every poll and sweep has looked twice since, nothing is under way in Kafka,
     * and nothing is owed to the records whose ids begin so.
     */
    void quiet(String prefix) {
        for (int round = 0; round < 2; round++) {
            looked();
            await("nothing is due of " + prefix)
                    .atMost(Duration.ofSeconds(60))
                    .pollInterval(Duration.ofMillis(50))
                    .until(() -> due(prefix) == 0 && Uncommitted.in(kafka, schemas) == 0 && due(prefix) == 0);
        }
    }

    /** Waits until every poll and every sweep has begun and ended a turn after this call. */
    void looked() {
        // the turn that ends next may have begun before
        for (int turn = 0; turn < 2; turn++) {
            Instant since = Instant.now();
            await("every capture flow has had its turn")
                    .atMost(Duration.ofSeconds(60))
                    .pollInterval(Duration.ofMillis(20))
                    .until(() -> captureFlows().stream().allMatch(flow -> capture.turns()
                            .getOrDefault(flow, Instant.EPOCH)
                            .isAfter(since)));
        }
    }

    private List<String> captureFlows() {
        return service.getBean(CamelContext.class).getRoutes().stream()
                .map(Route::getRouteId)
                .filter(id -> id.startsWith("poll-") || id.startsWith("sweep-"))
                .toList();
    }

    private long due(String prefix) {
        Long due = state.queryForObject(
                "select count(*) from base b where starts_with(id, ?) and (doubt or exists (select from due d where d.entity = b.entity and d.id = b.id and d.system = b.system))",
                Long.class,
                prefix);
        return due == null ? 0 : due;
    }

    /** What of the records whose ids begin so is not the same in the app, at the mini-program and in the golden record. */
    List<String> differences(String entity, String prefix) {
        Schema schema = schemas.of(entity);
        Map<String, Map<String, JsonNode>> atApp = atApp(schema, prefix);
        Map<String, Map<String, JsonNode>> atMini = new HashMap<>();
        mini.all(entity).forEach((id, data) -> {
            if (id.startsWith(prefix)) {
                atMini.put(id, Comparison.normal(schema, (ObjectNode) data));
            }
        });
        Set<String> ids = new TreeSet<>(atApp.keySet());
        ids.addAll(atMini.keySet());
        ids.addAll(state.queryForList(
                "select id from golden where entity = ? and starts_with(id, ?)", String.class, entity, prefix));
        Map<String, Map<String, JsonNode>> golden = new HashMap<>();
        service.getBean(Records.class)
                .load(entity, ids)
                .forEach((id, snapshot) -> golden.put(id, snapshot.golden().values()));
        return Comparison.differences(golden, Map.of("app", atApp, "mini", atMini));
    }

    private Map<String, Map<String, JsonNode>> atApp(Schema schema, String prefix) {
        String before = prefix.substring(0, prefix.length() - 1);
        List<?> listed = template.requestBodyAndHeaders(
                "direct:list-app-" + schema.plural(), null, Map.of("after", before, "limit", 100_000), List.class);
        String[] ids = listed.stream()
                .map(row -> String.valueOf(((Map<?, ?>) row).get("id")))
                .filter(id -> id.startsWith(prefix))
                .toArray(String[]::new);
        List<?> rows =
                template.requestBodyAndHeader("direct:read-app-" + schema.plural(), null, "ids", ids, List.class);
        Map<String, Map<String, JsonNode>> read = new HashMap<>();
        for (Object row : rows) {
            Map<?, ?> columns = (Map<?, ?>) row;
            read.put(String.valueOf(columns.get("id")), Comparison.normal(schema, (ObjectNode)
                    Json.read((String) columns.get("data"))));
        }
        return read;
    }

    /** What the sandbox saw that it should never see, since a moment that is remembered by making one. */
    final class Oracle {
        private final int echoes = mini.echoes();
        private final int backwards = mini.backwards();
        private final int concurrent = mini.concurrent().size();
        private final int violations = mini.violations().size();

        void sawNothingWrong() {
            assertThat(mini.echoes() - echoes).as("writes that changed nothing").isZero();
            assertThat(mini.backwards() - backwards)
                    .as("writes of an older version")
                    .isZero();
            assertThat(mini.concurrent().size() - concurrent)
                    .as("two writes of one key at once")
                    .isZero();
            assertThat(mini.violations().size() - violations)
                    .as("idempotency keys with another body")
                    .isZero();
        }
    }
}
