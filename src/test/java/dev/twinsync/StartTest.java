package dev.twinsync;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.twinsync.devservices.Neighbours;
import dev.twinsync.devservices.Ports;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.test.system.CapturedOutput;
import org.springframework.boot.test.system.OutputCaptureExtension;

/** A start that can't be ends with one line that names what to mend. */
@ExtendWith(OutputCaptureExtension.class)
class StartTest {

    private static final String ADMIN_ADMIN =
            "admin:admin:$2a$10$3PQeZAAtsuzV7LkyYGUD0OeachZ2T4PYhHsfGUIaH0jHm/mRI8kUO";

    private static void refused(CapturedOutput output, Map<String, Object> other, String... told) {
        Map<String, Object> settings = new HashMap<>(Neighbours.get().settings());
        settings.putAll(other);
        settings.values().removeIf(""::equals);
        SpringApplication application = new SpringApplication(Twinsync.class);
        application.setDefaultProperties(settings);
        application.setRegisterShutdownHook(false);
        assertThatThrownBy(application::run).isInstanceOf(RuntimeException.class);
        // the broker of the tests lives in this JVM and may write a line of its own; the child process below has none
        assertThat(output.getErr().lines().filter(line -> line.contains("Twinsync")))
                .singleElement()
                .asString()
                .startsWith("Twinsync does not start: ")
                .contains(told);
        assertThat(output.getAll()).doesNotContain("\tat ");
    }

    @Test
    void allMissingSettingsAreNamedAtOnce(CapturedOutput output) {
        refused(
                output,
                Map.of("APP_DB_URL", "", "KAFKA_BROKERS", "", "MINI_API_URL", "", "SYNC_API_KEY_MINI", ""),
                "APP_DB_URL (jdbc:postgresql://",
                "KAFKA_BROKERS (host:9092",
                "MINI_API_URL (https://",
                "SYNC_API_KEY_MINI (");
    }

    @Test
    void anAddressThatIsNoneIsNamed(CapturedOutput output) {
        refused(output, Map.of("MINI_API_URL", "mini.example.com"), "MINI_API_URL", "https://");
    }

    @Test
    void anIntervalThatIsNoneIsNamed(CapturedOutput output) {
        refused(output, Map.of("APP_POLL_INTERVAL", "soon"), "APP_POLL_INTERVAL", "300ms");
    }

    @Test
    void aWrongPasswordIsNamedAndNotTold(CapturedOutput output) throws Exception {
        Neighbours.get().postgres.execute("drop role if exists \"start-role\"");
        refused(
                output,
                Map.of("APP_DB_USERNAME", "start-role", "APP_DB_PASSWORD", "hunter2"),
                "APP_DB_USERNAME, APP_DB_PASSWORD");
        assertThat(output.getAll()).doesNotContain("hunter2");
    }

    @Test
    void aDatabaseThatIsNotThereIsNamed(CapturedOutput output) {
        String url = Neighbours.get().postgres.url() + "_elsewhere";
        refused(output, Map.of("SYNC_DB_URL", url), "SYNC_DB_URL", "no such database");
    }

    @Test
    void aServerThatCannotBeReachedIsNamed(CapturedOutput output) throws IOException {
        refused(output, Map.of("APP_DB_URL", "jdbc:postgresql://127.0.0.1:" + Ports.free() + "/app"), "APP_DB_URL");
    }

    @Test
    void aKeyThatEverybodyKnowsIsRefused(CapturedOutput output) {
        refused(output, Map.of("TWINSYNC_DEV", "false"), "SYNC_API_KEY_", "a key of your own");
    }

    @Test
    void thePasswordOfTheDevServicesIsRefusedElsewhere(CapturedOutput output) {
        refused(
                output,
                Map.of(
                        "TWINSYNC_DEV",
                        "false",
                        "SYNC_API_KEY_APP",
                        "start-key-of-the-app",
                        "SYNC_API_KEY_MINI",
                        "start-key-of-the-mini",
                        "SYNC_API_KEY_OPS",
                        "start-key-of-ops",
                        "CONSOLE_USERS",
                        ADMIN_ADMIN),
                "CONSOLE_USERS",
                "admin");
    }

    @Test
    void aConsoleUserThatIsNoneIsNamed(CapturedOutput output) {
        refused(output, Map.of("CONSOLE_USERS", "li:boss:secret"), "CONSOLE_USERS", "name:role:bcrypt");
    }

    @Test
    void aSigningSecretThatIsNoneIsNamed(CapturedOutput output) {
        refused(output, Map.of("MINI_SIGNING_SECRET", "whsec_?"), "MINI_SIGNING_SECRET", "Base64");
    }

    @Test
    void aKafkaSettingThatIsNoneIsNamed(CapturedOutput output) {
        refused(output, Map.of("KAFKA_CLIENT_SECURTY_PROTOCOL", "SSL"), "KAFKA_CLIENT_SECURTY_PROTOCOL");
    }

    @Test
    void aKafkaSettingThatWouldLoseMessagesIsRefused(CapturedOutput output) {
        refused(output, Map.of("KAFKA_CLIENT_ENABLE_AUTO_COMMIT", "true"), "KAFKA_CLIENT_ENABLE_AUTO_COMMIT");
    }

    @Test
    void aKafkaSettingReachesTheClientThatMakesTheTopics(CapturedOutput output) {
        refused(output, Map.of("KAFKA_CLIENT_SECURITY_PROTOCOL", "NONSENSE"), "KAFKA_CLIENT_", "NONSENSE");
    }

    @Test
    void aFolderOfRoutesThatIsNotThereIsNamed(CapturedOutput output, @TempDir Path folder) {
        refused(output, Map.of("ROUTES_DIR", folder.resolve("none").toString()), "ROUTES_DIR", "none");
    }

    @Test
    void anEmptyFolderOfRoutesIsNamed(CapturedOutput output, @TempDir Path folder) {
        refused(output, Map.of("ROUTES_DIR", folder.toString()), "ROUTES_DIR", "schema.yaml");
    }

    @Test
    void aFieldThatASchemaCannotHaveIsNamedWithItsFile(CapturedOutput output, @TempDir Path folder) throws IOException {
        Files.createDirectories(folder.resolve("users"));
        String schema = Files.readString(Path.of("routes/users/user.schema.yaml"));
        Files.writeString(folder.resolve("users/user.schema.yaml"), schema.replace("rule: newest", "rule: nicest"));
        refused(output, Map.of("ROUTES_DIR", folder.toString()), "user.schema.yaml", "nickname.rule");
    }

    @Test
    void aFlowThatIsNoYamlIsNamedWithItsFile(CapturedOutput output, @TempDir Path folder) throws IOException {
        Files.createDirectories(folder.resolve("users"));
        Files.copy(Path.of("routes/users/user.schema.yaml"), folder.resolve("users/user.schema.yaml"));
        Files.writeString(folder.resolve("users/poll-app-users.camel.yaml"), """
                - route:
                    id: poll-app-users
                    from:
                      uri: timer:poll
                      steps:
                        - nonsense: {}
                """);
        refused(output, Map.of("ROUTES_DIR", folder.toString()), "poll-app-users.camel.yaml", "nonsense");
    }

    @Test
    void theProcessEndsWithOneLineAndExitCodeOne(@TempDir Path folder) throws Exception {
        Process process = new ProcessBuilder(
                        ProcessHandle.current().info().command().orElse("java"),
                        "-cp",
                        System.getProperty("java.class.path"),
                        Twinsync.class.getName())
                .redirectOutput(folder.resolve("out").toFile())
                .redirectError(folder.resolve("err").toFile())
                .start();
        assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
        assertThat(process.exitValue()).isEqualTo(1);
        assertThat(Files.readString(folder.resolve("err"), StandardCharsets.UTF_8)
                        .lines())
                .singleElement()
                .asString()
                .startsWith("Twinsync does not start: set APP_DB_URL");
    }
}
