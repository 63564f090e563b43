package dev.twinsync.capture;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.devservices.Broker;
import dev.twinsync.devservices.MiniProgram;
import dev.twinsync.devservices.Neighbours;
import dev.twinsync.devservices.Postgres;
import dev.twinsync.record.Json;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.sql.SQLException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.camel.CamelContext;
import org.awaitility.core.ThrowingRunnable;
import org.springframework.boot.SpringApplication;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.SingleConnectionDataSource;

/** A database, a broker and a mini-program of one test class's own, and as many instances of the service as it starts. */
public final class OwnWorld implements AutoCloseable {

    private static final HttpClient HTTP = HttpClient.newHttpClient();

    public final Postgres server;
    public final String database;
    public final Broker broker;
    public final MiniProgram mini;
    public final JdbcTemplate app;
    private final SingleConnectionDataSource connection;
    private final List<ConfigurableApplicationContext> services = new ArrayList<>();

    public OwnWorld(String database) throws Exception {
        this.database = database;
        server = Neighbours.get().postgres;
        server.createApp(database);
        broker = Broker.start(0);
        mini = MiniProgram.start(0);
        connection = new SingleConnectionDataSource(server.url(database), "postgres", "postgres", true);
        connection.setAutoCommit(true);
        app = new JdbcTemplate(connection);
    }

    /** Starts an instance; settings beat the usual ones. */
    public ConfigurableApplicationContext start(Map<String, Object> settings) {
        Map<String, Object> all = new HashMap<>(Neighbours.get().settings());
        all.put("APP_DB_URL", server.url(database));
        all.put("KAFKA_BROKERS", broker.address());
        all.put("MINI_API_URL", mini.url());
        all.put("APP_LOG_NAME", database);
        all.put("twinsync.capture.app.log.lease", "3s");
        all.putAll(settings);
        SpringApplication application = new SpringApplication(dev.twinsync.Twinsync.class);
        application.setDefaultProperties(all);
        application.setRegisterShutdownHook(false);
        ConfigurableApplicationContext service = application.run();
        services.add(service);
        return service;
    }

    public void stop(ConfigurableApplicationContext service) {
        services.remove(service);
        service.close();
    }

    public static void soon(ThrowingRunnable check) {
        await().atMost(Duration.ofSeconds(90))
                .pollInterval(Duration.ofMillis(50))
                .ignoreExceptions()
                .untilAsserted(check);
    }

    public static HttpResponse<String> call(
            ConfigurableApplicationContext service, String key, String method, String path, String body)
            throws Exception {
        String url = "http://127.0.0.1:" + service.getEnvironment().getProperty("local.server.port");
        return HTTP.send(
                HttpRequest.newBuilder(URI.create(url + path))
                        .header("Authorization", "Bearer " + key)
                        .header("Content-Type", "application/json")
                        .method(method, body == null ? BodyPublishers.noBody() : BodyPublishers.ofString(body))
                        .build(),
                HttpResponse.BodyHandlers.ofString());
    }

    public static JsonNode get(ConfigurableApplicationContext service, String path) throws Exception {
        return Json.read(call(service, "ops-key", "GET", path, null).body());
    }

    /** Switches by the API and waits until the new scheme runs and the former does not. */
    public void switchTo(ConfigurableApplicationContext service, String scheme) throws Exception {
        HttpResponse<String> answer = call(
                service, "ops-key", "POST", "/capture/app", "{\"scheme\":\"" + scheme + "\",\"reason\":\"a test\"}");
        assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
        soon(() -> assertThat(get(service, "/capture/app").path("running").asText())
                .isEqualTo(scheme));
    }

    public static List<String> running(ConfigurableApplicationContext service) {
        CamelContext camel = service.getBean(CamelContext.class);
        return camel.getRoutes().stream()
                .map(route -> route.getRouteId())
                .filter(id -> id.matches("(poll|log|feed|sweep)-app-.*"))
                .filter(id -> camel.getRouteController().getRouteStatus(id).isStarted())
                .sorted()
                .toList();
    }

    /** What the golden records hold, without versions and times: id to path to value. */
    public Map<String, String> golden(String entity, String prefix) {
        Map<String, String> golden = new TreeMap<>();
        app.query(
                "select id, held::jsonb::text from sync.golden where entity = ? and id like ?",
                rows -> {
                    golden.put(
                            rows.getString(1).substring(prefix.length()),
                            rows.getString(2).replace(prefix, ""));
                },
                entity,
                prefix + "%");
        return golden;
    }

    @Override
    public void close() throws SQLException, java.io.IOException {
        List.copyOf(services).forEach(this::stop);
        mini.close();
        broker.close();
        connection.destroy();
        server.dropApp(database);
    }
}
