package dev.twinsync.console;

import java.util.List;

/**
 * What every page of the console needs of its request; templates see it as {@code shell}.
 *
 * @param person the name of who is signed in, or null
 * @param role viewer, operator or admin, or null
 * @param theme light, dark or auto
 * @param lang the language's tag, en or zh-CN
 * @param here path and query of the page without its language, for switches that lead back to it
 * @param sections the navigation
 * @param section the section that the page belongs to
 */
record Shell(
        String person, String role, String theme, String lang, String here, List<Section> sections, String section) {

    /** @param key its message is {@code nav.<key>} */
    public record Section(String key, String href) {}

    /** Whether the person may act at all. */
    public boolean acts() {
        return "operator".equals(role) || "admin".equals(role);
    }

    public boolean admin() {
        return "admin".equals(role);
    }

    /** The same page in another language. */
    public String in(String otherLang) {
        return here + (here.contains("?") ? "&" : "?") + "lang=" + otherLang;
    }
}
