package dev.twinsync.verification;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.springframework.boot.env.YamlPropertySourceLoader;
import org.springframework.core.env.MapPropertySource;
import org.springframework.core.env.StandardEnvironment;
import org.springframework.core.io.ClassPathResource;

/** Settings as the diagnosis tells them. */
class SettingsInForceTest {

    private static Map<String, Diagnosis.Finding> findings(Map<String, Object> given) throws Exception {
        StandardEnvironment environment = new StandardEnvironment();
        environment
                .getPropertySources()
                .addLast(new YamlPropertySourceLoader()
                        .load(
                                "Config resource 'class path resource [application.yaml]'",
                                new ClassPathResource("application.yaml"))
                        .get(0));
        environment.getPropertySources().addFirst(new MapPropertySource("given", given));
        List<Diagnosis.Finding> found = SettingsInForce.of(environment);
        Map<String, Diagnosis.Finding> byName = new LinkedHashMap<>();
        found.forEach(finding -> byName.put(finding.check(), finding));
        return byName;
    }

    @Test
    void aNameThatNothingReadsIsNamedAndSecretsAreNotShown() throws Exception {
        Map<String, Diagnosis.Finding> found = findings(Map.of(
                "TWINSYNC_MINI_BATCHSIZE", "100",
                "twinsync.mini.batch-sise", "50",
                "twinsync.verification.damage.order.status_back", "adopt",
                "MINI_API_KEY", "of-the-mini-program",
                "MINI_API_URL", "http://mini.example.com",
                "APP_DB_URL", "jdbc:postgresql://role:hidden@db/app?password=hidden&ssl=true"));
        assertThat(found.get("setting twinsync.mini.batch-sise").state()).isEqualTo("warning");
        assertThat(found).doesNotContainKey("setting TWINSYNC_MINI_BATCHSIZE");
        assertThat(found.get("setting twinsync.mini.api-key").says()).isEqualTo("set");
        assertThat(found.get("setting twinsync.mini.url").says()).contains("not encrypted");
        assertThat(found.get("setting twinsync.mini.batch-size").state()).isEqualTo("ok");
        assertThat(found.get("setting twinsync.app.db.password").state())
                .as("it refers to what is not set")
                .isEqualTo("fault");
        assertThat(found.toString()).doesNotContain("of-the-mini-program", "hidden", "status_back");
        assertThat(found.get("setting twinsync.console.users").remedy()).contains("CONSOLE_USERS");
    }
}
