package dev.twinsync.console;

import jakarta.servlet.http.Cookie;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import org.springframework.beans.factory.ObjectProvider;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.i18n.LocaleContextHolder;
import org.springframework.security.core.Authentication;
import org.springframework.security.core.context.SecurityContextHolder;
import org.springframework.security.core.userdetails.UserDetails;
import org.springframework.web.servlet.HandlerInterceptor;
import org.springframework.web.servlet.LocaleResolver;
import org.springframework.web.servlet.ModelAndView;
import org.springframework.web.servlet.config.annotation.InterceptorRegistry;
import org.springframework.web.servlet.config.annotation.WebMvcConfigurer;
import org.springframework.web.servlet.i18n.CookieLocaleResolver;
import org.springframework.web.servlet.i18n.LocaleChangeInterceptor;

/** The frame of all pages: language, theme, navigation. */
@Configuration
class ConsoleWeb implements WebMvcConfigurer {

    private static final List<Shell.Section> SECTIONS = List.of(
            new Shell.Section("overview", "/console"),
            new Shell.Section("letters", "/console/letters"),
            new Shell.Section("conflicts", "/console/conflicts"),
            new Shell.Section("flows", "/console/flows"),
            new Shell.Section("verification", "/console/verification"),
            new Shell.Section("audit", "/console/audit"));

    private final List<Shell.Section> sections;

    /** @param further sections that only some ways to run have */
    ConsoleWeb(ObjectProvider<Shell.Section> further) {
        List<Shell.Section> all = new ArrayList<>(SECTIONS);
        further.orderedStream().forEach(all::add);
        sections = List.copyOf(all);
    }

    /** By the switch, else by the browser: Chinese of any kind is Chinese, everything else is English. */
    @Bean
    LocaleResolver localeResolver() {
        CookieLocaleResolver resolver = new CookieLocaleResolver("twinsync-lang");
        resolver.setCookieMaxAge(Duration.ofDays(365));
        resolver.setCookieSameSite("Lax");
        resolver.setDefaultLocaleFunction(request -> Collections.list(request.getLocales()).stream()
                .map(Locale::getLanguage)
                .filter(language -> language.equals("zh") || language.equals("en"))
                .findFirst()
                .filter(language -> language.equals("zh"))
                .map(language -> Locale.SIMPLIFIED_CHINESE)
                .orElse(Locale.ENGLISH));
        return resolver;
    }

    @Override
    public void addInterceptors(InterceptorRegistry registry) {
        LocaleChangeInterceptor language = new LocaleChangeInterceptor();
        language.setParamName("lang");
        language.setIgnoreInvalidLocale(true);
        registry.addInterceptor(language).addPathPatterns("/console/**", "/console", "/login");
        registry.addInterceptor(new HandlerInterceptor() {
                    @Override
                    public void postHandle(
                            HttpServletRequest request,
                            HttpServletResponse response,
                            Object handler,
                            ModelAndView page) {
                        if (page != null && !String.valueOf(page.getViewName()).startsWith("redirect:")) {
                            page.addObject("shell", shell(request));
                        }
                    }
                })
                .addPathPatterns("/console/**", "/console", "/login", "/error");
    }

    Shell shell(HttpServletRequest request) {
        Authentication signedIn = SecurityContextHolder.getContext().getAuthentication();
        UserDetails person = signedIn != null && signedIn.getPrincipal() instanceof UserDetails user ? user : null;
        String role = person == null
                ? null
                : person.getAuthorities()
                        .iterator()
                        .next()
                        .getAuthority()
                        .replace("ROLE_", "")
                        .toLowerCase(Locale.ROOT);
        String path = request.getRequestURI();
        return new Shell(
                person == null ? null : person.getUsername(),
                role,
                theme(request),
                Locale.CHINESE
                                .getLanguage()
                                .equals(LocaleContextHolder.getLocale().getLanguage())
                        ? "zh-CN"
                        : "en",
                here(request),
                sections,
                sections.stream()
                        .filter(section -> path.equals(section.href())
                                || !section.key().equals("overview") && path.startsWith(section.href() + "/"))
                        .map(Shell.Section::key)
                        .findFirst()
                        .orElse(""));
    }

    private static String theme(HttpServletRequest request) {
        Cookie[] cookies = request.getCookies() == null ? new Cookie[0] : request.getCookies();
        return Arrays.stream(cookies)
                .filter(cookie -> cookie.getName().equals("twinsync-theme"))
                .map(Cookie::getValue)
                .filter(List.of("light", "dark")::contains)
                .findFirst()
                .orElse("auto");
    }

    private static String here(HttpServletRequest request) {
        if (!"GET".equals(request.getMethod()) || request.getRequestURI().startsWith("/error")) {
            return "/console";
        }
        String query = request.getQueryString() == null
                ? ""
                : request.getQueryString().replaceAll("(^|&)lang=[^&]*", "").replaceAll("^&", "");
        return request.getRequestURI() + (query.isEmpty() ? "" : "?" + query);
    }
}
