package dev.twinsync.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.twinsync.Twinsync;
import dev.twinsync.devservices.Broker;
import dev.twinsync.devservices.Caller;
import dev.twinsync.devservices.MiniProgram;
import dev.twinsync.devservices.Neighbours;
import dev.twinsync.proof.Anomaly;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.Statement;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.springframework.boot.SpringApplication;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.jdbc.core.JdbcTemplate;

/** A service of its own, since its broker is taken away from it. */
class KafkaAwayTest {

    /** Producer's delivery timeout and what surrounds it. */
    private static final Duration LONGEST = Duration.ofSeconds(15);

    @Test
    @Anomaly(Anomaly.Of.A14)
    void aPushIsPutOffInBoundedTimeAndHealthSaysWhy() throws Exception {
        String url = Neighbours.get().postgres.url().replaceAll("/app$", "/kafka_away");
        Neighbours.get().postgres.execute("create database kafka_away");
        try (Connection connection = DriverManager.getConnection(url, "postgres", "postgres");
                Statement statement = connection.createStatement();
                var tables = KafkaAwayTest.class.getResourceAsStream("/devservices/app-db.sql")) {
            statement.execute(new String(tables.readAllBytes(), StandardCharsets.UTF_8));
        }
        Broker broker = Broker.start(0);
        boolean there = true;
        try (MiniProgram mini = MiniProgram.start(0)) {
            Map<String, Object> settings = new HashMap<>(Neighbours.get().settings());
            settings.put("APP_DB_URL", url);
            settings.put("MINI_API_URL", mini.url());
            settings.put("KAFKA_BROKERS", broker.address());
            settings.put("camel.main.shutdown-timeout", "1");
            SpringApplication application = new SpringApplication(Twinsync.class);
            application.setDefaultProperties(settings);
            application.setRegisterShutdownHook(false);
            try (ConfigurableApplicationContext service = application.run()) {
                Caller caller = new Caller(service);
                String push = "{\"user_id\":\"kafka-away\",\"data\":{\"nickname\":\"a\"}}";
                assertThat(caller.post("app-key", "/sync_user_data", push).statusCode())
                        .isEqualTo(202);
                broker.close();
                there = false;
                HttpResponse<String> answer = await().atMost(LONGEST.plusSeconds(5))
                        .until(
                                () -> caller.send(caller.request("app-key", "/sync_user_data")
                                        .header("Content-Type", "application/json")
                                        .header("Idempotency-Key", "kafka-away")
                                        .POST(BodyPublishers.ofString(push))),
                                a -> true);
                assertThat(answer.statusCode()).isEqualTo(503);
                assertThat(answer.headers().firstValue("Retry-After")).isPresent();
                // its key is not remembered, or the next try would be taken for a repetition of what never was
                assertThat(service.getBean(JdbcTemplate.class)
                                .queryForObject(
                                        "select count(*) from push_key where key like '%kafka-away'", Long.class))
                        .isZero();
                assertThat(answer.headers().firstValue("Content-Type")).hasValue("application/problem+json");
                await().atMost(Duration.ofSeconds(20))
                        .untilAsserted(() -> assertThat(caller.json("ops-key", "/actuator/health")
                                        .path("components")
                                        .path("kafka")
                                        .path("status")
                                        .asText())
                                .isEqualTo("DOWN"));
                assertThat(caller.get(null, "/actuator/health/liveness").statusCode())
                        .isEqualTo(200);
                assertThat(caller.get("ops-key", "/actuator/prometheus").body())
                        .containsPattern("sync_topic_behind\\{.*} NaN");
            }
        } finally {
            if (there) {
                broker.close();
            }
        }
    }
}
