package dev.twinsync;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.twinsync.devservices.Broker;
import dev.twinsync.devservices.MiniProgram;
import dev.twinsync.devservices.Neighbours;
import dev.twinsync.devservices.Ports;
import dev.twinsync.devservices.Postgres;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.awaitility.core.ThrowingRunnable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.DriverManagerDataSource;

/** The jar as it is deployed: beside its routes, by environment alone, among neighbours that it did not start. */
class JarTest {

    private static final HttpClient HTTP = HttpClient.newHttpClient();
    private static final String APP_KEY = "key-of-the-app-4711471147114711";
    private static final String MINI_KEY = "key-of-the-mini-program-08150815";
    private static final String OPS_KEY = "key-of-ops-12341234123412341234";
    private static final String PASSWORD = "password-of-the-database";

    private final Postgres postgres = Neighbours.get().postgres;
    private final JdbcTemplate app =
            new JdbcTemplate(new DriverManagerDataSource(postgres.url("jar"), "postgres", "postgres"));
    private Broker broker;
    private MiniProgram mini;
    private Process service;
    private int port;
    private int management;

    @TempDir
    private Path home;

    @BeforeEach
    void begin() throws Exception {
        postgres.createApp("jar");
        postgres.createDatabase("jar_state");
        broker = Broker.start(0);
        mini = MiniProgram.start(0);
    }

    @AfterEach
    void end() throws IOException {
        if (service != null) {
            service.destroyForcibly();
        }
        mini.close();
        broker.close();
    }

    @Test
    void keepsBothEndsInStepThroughAKillAndEndsByATerm() throws Exception {
        app.execute("create role jar login superuser password '" + PASSWORD + "'");
        copyRoutes();
        app.update("insert into users (user_id, nickname, phone) values ('123456', '小明', '+8613800138000')");
        app.update("insert into orders (order_id, user_id, status, payment_amount)"
                + " values ('789012', '123456', 'pending_payment', 250.00)");

        start();
        soon(() -> assertThat(mini.read("order", "789012")).isNotNull());
        soon(() -> assertThat(mini.read("user", "123456")).isNotNull());
        assertThat(push("/sync_user_data", PushTest.USER)).isEqualTo(202);
        assertThat(push("/sync_order_data", PushTest.ORDER)).isEqualTo(202);
        soon(() -> assertThat(app.queryForObject("select nickname from users where user_id = '123456'", String.class))
                .isEqualTo("张三"));
        soon(() -> assertThat(app.queryForMap("select * from orders where order_id = '789012'"))
                .containsEntry("status", "paid")
                .containsEntry("payment_amount", new java.math.BigDecimal("199.99"))
                .containsEntry("carrier", "SF"));
        service.destroyForcibly();
        service.waitFor();
        app.update("update users set nickname = '李四', updated_at = now() where user_id = '123456'");
        mini.edit("order", "789012", Map.of("status", "shipped"));

        start();
        soon(() -> assertThat(mini.read("user", "123456").path("nickname").asText())
                .isEqualTo("李四"));
        soon(() -> assertThat(app.queryForObject("select status from orders where order_id = '789012'", String.class))
                .isEqualTo("shipped"));
        service.destroy();
        assertThat(service.waitFor(30, TimeUnit.SECONDS)).as("SIGTERM ends it").isTrue();
        // its own state is where it was told to keep it
        assertThat(app.queryForObject("select to_regclass('sync.golden') is null", Boolean.class))
                .isTrue();
        assertThat(mini.violations()).isEmpty();
        assertThat(mini.backwards()).isZero();
        assertThat(Files.readString(home.resolve("out.log")))
                .contains("merged entity=user id=123456")
                .doesNotContain(APP_KEY, MINI_KEY, OPS_KEY, PASSWORD, "mini-api-key", "13800138000", "张三");
    }

    private void copyRoutes() throws IOException {
        Path from = Path.of("routes");
        try (Stream<Path> files = Files.walk(from)) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                Path copy = home.resolve("routes").resolve(from.relativize(file).toString());
                Files.createDirectories(copy.getParent());
                Files.copy(file, copy);
            }
        }
    }

    private void start() throws IOException {
        port = Ports.free();
        management = Ports.free();
        ProcessBuilder builder = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-XX:TieredStopAtLevel=1",
                        "-jar",
                        Path.of("target", "twinsync.jar").toAbsolutePath().toString())
                .directory(home.toFile())
                .redirectErrorStream(true)
                .redirectOutput(
                        ProcessBuilder.Redirect.appendTo(home.resolve("out.log").toFile()));
        builder.environment().clear();
        builder.environment()
                .putAll(Map.ofEntries(
                        Map.entry("APP_DB_URL", postgres.url("jar")),
                        Map.entry("APP_DB_USERNAME", "jar"),
                        Map.entry("APP_DB_PASSWORD", PASSWORD),
                        Map.entry("SYNC_DB_URL", postgres.url("jar_state")),
                        Map.entry("KAFKA_BROKERS", broker.address()),
                        Map.entry("MINI_API_URL", mini.url()),
                        Map.entry("MINI_API_KEY", "mini-api-key"),
                        Map.entry("SYNC_API_KEY_APP", APP_KEY),
                        Map.entry("SYNC_API_KEY_MINI", MINI_KEY),
                        Map.entry("SYNC_API_KEY_OPS", OPS_KEY),
                        Map.entry("SERVER_PORT", String.valueOf(port)),
                        Map.entry("MANAGEMENT_PORT", String.valueOf(management))));
        service = builder.start();
        await().atMost(Duration.ofSeconds(60))
                .pollInterval(Duration.ofMillis(100))
                .ignoreExceptions()
                .until(() -> {
                    if (!service.isAlive()) {
                        throw new AssertionError(Files.readString(home.resolve("out.log")));
                    }
                    return HTTP.send(
                                            HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + management
                                                            + "/actuator/health/readiness"))
                                                    .build(),
                                            HttpResponse.BodyHandlers.discarding())
                                    .statusCode()
                            == 200;
                });
    }

    private int push(String path, String body) throws Exception {
        return HTTP.send(
                        HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + path))
                                .header("Authorization", "Bearer " + MINI_KEY)
                                .header("Content-Type", "application/json")
                                .POST(HttpRequest.BodyPublishers.ofString(body))
                                .build(),
                        HttpResponse.BodyHandlers.discarding())
                .statusCode();
    }

    private static void soon(ThrowingRunnable check) {
        await().atMost(Duration.ofSeconds(30))
                .pollInterval(Duration.ofMillis(50))
                .ignoreExceptions()
                .untilAsserted(check);
    }
}
