package dev.twinsync;

import java.net.URI;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.convert.DurationStyle;
import org.springframework.boot.env.EnvironmentPostProcessor;
import org.springframework.core.Ordered;
import org.springframework.core.env.ConfigurableEnvironment;

/**
 * Looks at the settings before anything is started: all that are missing are named at once, with what to write, instead
 * of one after the other from deep inside.
 */
class Settings implements EnvironmentPostProcessor, Ordered {

    private static final Map<String, String> NEEDED = new LinkedHashMap<>();

    static {
        NEEDED.put("APP_DB_URL", "twinsync.app.db.url|jdbc:postgresql://host:5432/app");
        NEEDED.put("APP_DB_USERNAME", "twinsync.app.db.username|the role that reads and writes the app's tables");
        NEEDED.put("APP_DB_PASSWORD", "twinsync.app.db.password|its password");
        NEEDED.put("KAFKA_BROKERS", "twinsync.kafka.brokers|host:9092,…");
        NEEDED.put("MINI_API_URL", "twinsync.mini.url|https://…");
        NEEDED.put("MINI_API_KEY", "twinsync.mini.api-key|the key that the mini-program's API gave you");
        NEEDED.put("SYNC_API_KEY_APP", "twinsync.api.keys.app|a random key for the app's backend");
        NEEDED.put("SYNC_API_KEY_MINI", "twinsync.api.keys.mini|a random key for the mini-program's backend");
        NEEDED.put("SYNC_API_KEY_OPS", "twinsync.api.keys.ops|a random key for ops");
    }

    private static final Map<String, String> DURATIONS = Map.of(
            "APP_POLL_INTERVAL", "twinsync.capture.app.poll-interval",
            "APP_KEY_SWEEP_INTERVAL", "twinsync.capture.app.key-sweep-interval",
            "MINI_POLL_INTERVAL", "twinsync.capture.mini.poll-interval");

    private static final Map<String, String> PORTS =
            Map.of("SERVER_PORT", "server.port", "MANAGEMENT_PORT", "management.server.port");

    @Override
    public int getOrder() {
        return Ordered.LOWEST_PRECEDENCE;
    }

    @Override
    public void postProcessEnvironment(ConfigurableEnvironment environment, SpringApplication application) {
        if (application.getAllSources().contains(Twinsync.class)) {
            check(environment);
        }
    }

    private static void check(ConfigurableEnvironment environment) {
        List<String> missing = new ArrayList<>();
        NEEDED.forEach((name, rest) -> {
            String[] parts = rest.split("\\|", 2);
            if (value(environment, parts[0]).isBlank()) {
                missing.add(name + " (" + parts[1] + ")");
            }
        });
        if (!missing.isEmpty()) {
            throw new InvalidSetting("set " + String.join(", ", missing));
        }
        for (String database : List.of("app", "sync")) {
            String url = value(environment, "twinsync." + database + ".db.url");
            if (!url.startsWith("jdbc:postgresql:")) {
                throw new InvalidSetting((database.equals("app") ? "APP_DB_URL" : "SYNC_DB_URL")
                        + ": write jdbc:postgresql://host:5432/database");
            }
        }
        web(value(environment, "twinsync.mini.url"));
        DURATIONS.forEach((name, key) -> duration(name, value(environment, key)));
        PORTS.forEach((name, key) -> port(name, value(environment, key)));
    }

    private static String value(ConfigurableEnvironment environment, String key) {
        try {
            return environment.getProperty(key, "");
        } catch (IllegalArgumentException e) {
            // it refers to a variable that is not set
            return "";
        }
    }

    private static void web(String url) {
        try {
            URI uri = URI.create(url);
            if (uri.getHost() != null && List.of("http", "https").contains(uri.getScheme())) {
                return;
            }
        } catch (IllegalArgumentException e) {
            // told below
        }
        throw new InvalidSetting("MINI_API_URL: write the address of the mini-program's API, https://…");
    }

    private static void duration(String name, String text) {
        try {
            if (DurationStyle.detectAndParse(text).toMillis() > 0) {
                return;
            }
        } catch (IllegalArgumentException | ArithmeticException e) {
            // told below
        }
        throw new InvalidSetting(name + ": write a duration, such as 300ms or 30s");
    }

    private static void port(String name, String text) {
        if (!text.matches("\\d{1,5}") || Integer.parseInt(text) > 65535) {
            throw new InvalidSetting(name + ": write a port number");
        }
    }
}
